"""How much a worker takes on."""

from typing import NamedTuple

__all__ = ["Limits"]


class Limits(NamedTuple):
    """What a worker takes on.

    Attributes:
        body_seconds: in which a body has to arrive; else 408.
        bodies: requests whose bodies are on their way at the same time; more are answered with 429.
        rows_together: that are looked up and scored in one call.
        waiting_rows: of small requests that wait for their turn; more are answered with 429.
        waiting_large: large requests (of `rows_together` and more) that wait; more are answered with 429.
    """

    body_seconds: float = 10.0
    bodies: int = 256
    rows_together: int = 64
    waiting_rows: int = 512
    waiting_large: int = 4
