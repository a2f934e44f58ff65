"""The whole loop on one machine: a champion, users, a challenger, what has to be refused, and the way back.

Each step runs the very commands that a person or a workflow would run, in scratch repositories. What is prepared for
it (environments, a leak, a slow release) is made from the project object, so any repository can be rehearsed.
"""

__all__: list[str] = []
