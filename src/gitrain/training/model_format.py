"""How models are stored."""

from typing import Protocol

from gitrain.training.estimators import Estimator

__all__ = ["ModelFormat"]


class ModelFormat(Protocol):
    """Writes and reads models. Equal models give equal bytes; nothing is ever unpickled."""

    def dump(self, estimator: Estimator) -> bytes:
        """The model as bytes."""

    def load(self, content: bytes, *, name: str) -> Estimator:
        """The model in `content`; `name` is used in messages.

        Raises:
            ModelError: unreadable, or made of types that are not on the list of trusted ones.
        """
