"""What is served and why: `models/serving.json`, and rows whose answers are known: `models/known_answers.json`."""

import json
from typing import Any

from pydantic import Field

from gitrain.documents import Document, Section
from gitrain.serving.model import ServedFormat

__all__ = ["KnownAnswer", "KnownAnswers", "Parity", "ServingManifest"]

_DIGEST = r"^sha256:[0-9a-f]{64}$"


class Parity(Section):
    """How far the ONNX model is from the model that was judged.

    Attributes:
        tolerance: the largest difference of two probabilities that counts as equal.
        holdout_rows: rows of the holdout that were compared.
        adversarial_rows: rows made up from the feature contract: extremes, nulls, unknown categories.
        largest_difference: over all of them; None where the model cannot be converted or does not run.
        flipped_decisions: rows that the two decide differently at the threshold; None likewise.
    """

    tolerance: float = Field(gt=0, lt=0.01)
    holdout_rows: int = Field(ge=0)
    adversarial_rows: int = Field(ge=0)
    largest_difference: float | None = None
    flipped_decisions: int | None = None


class ServingManifest(Document):
    """What is served. It holds no times and no paths outside the tree: equal runs give equal text.

    Attributes:
        format: onnx or skops.
        reason: why: one sentence.
        path: of the file that is served, relative to the root.
        digest: of that file.
        model_digest: of models/model.skops, which it was made from.
        parity: the figures behind the reason.
        threshold: predictions at or above it are decided as true (params.yaml: serving.threshold).
        libraries: version by name, of what converted the model and what runs it.
    """

    format: ServedFormat
    reason: str
    path: str
    digest: str = Field(pattern=_DIGEST)
    model_digest: str = Field(pattern=_DIGEST)
    parity: Parity
    threshold: float = Field(gt=0, lt=1)
    libraries: dict[str, str]

    def to_json(self) -> str:
        """The file's text: sorted keys, two spaces, a newline at the end."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True, allow_nan=False) + "\n"


class KnownAnswer(Section):
    """A row of the holdout.

    Attributes:
        inputs: the columns known in advance as a request has them: dates and times in ISO 8601.
        features: the features that the pipeline computed; None where nothing is known.
        score: the probability that the served model gives.
    """

    inputs: dict[str, Any]
    features: dict[str, Any]
    score: float = Field(ge=0, le=1)


class KnownAnswers(Document):
    """Rows of the holdout, spread over it, with their answers: what readiness and the smoke probe ask for.

    Attributes:
        tolerance: the largest difference that counts as equal.
        rows: at least one.
    """

    tolerance: float = Field(gt=0, lt=0.01)
    rows: tuple[KnownAnswer, ...] = Field(min_length=1)

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True, allow_nan=False) + "\n"
