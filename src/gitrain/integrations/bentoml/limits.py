"""How much a worker takes on."""

from typing import NamedTuple

__all__ = ["Limits"]


class Limits(NamedTuple):
    """What a worker takes on.

    Attributes:
        body_seconds: in which a body has to arrive; else 408.
        bodies: requests whose bodies are on their way at the same time; more are answered with 429.
        large: a request of so many rows is large, and is worked off beside the others; the small ones that are worked
            off together have fewer rows, added up.
        waiting_rows: of small requests that wait for their turn; more are answered with 429.
        large_requests: that wait or are worked off; more are answered with 429.
    """

    body_seconds: float = 10.0
    bodies: int = 256
    large: int = 64
    waiting_rows: int = 512
    large_requests: int = 4
