"""What a bundle says of itself: `release.json` at its root, made before the bundle is built and part of it."""

import json
from typing import Literal

from pydantic import Field

from gitrain.documents import Document

__all__ = ["ReleaseIdentity"]

_DIGEST = r"^sha256:[0-9a-f]{64}$"


class ReleaseIdentity(Document):
    """Who a release is. It holds no times and no paths: two builds of a commit give equal text.

    Attributes:
        project: the project's name.
        version: without the leading v, as in ``1.4.0``.
        commit: the full hash of the commit that it was built from.
        lock_digest: of dvc.lock.
        data_through: the last batch that the model has been judged on.
        data_digest: of what dvc.lock says of the features that the model was trained and judged on.
        model_digest: of models/model.skops, the model that was judged.
        served_format: what is served: onnx where it is proved equal, skops elsewhere.
        served_digest: of the file that is served.
        schema_digest: of the request's and the answer's JSON schema.
        environment_digest: of requirements.lock.
        threshold: predictions at or above it are decided as true.
    """

    project: str
    version: str = Field(pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$")
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    lock_digest: str = Field(pattern=_DIGEST)
    data_through: str
    data_digest: str = Field(pattern=_DIGEST)
    model_digest: str = Field(pattern=_DIGEST)
    served_format: Literal["onnx", "skops"]
    served_digest: str = Field(pattern=_DIGEST)
    schema_digest: str = Field(pattern=_DIGEST)
    environment_digest: str = Field(pattern=_DIGEST)
    threshold: float = Field(gt=0, lt=1)

    def to_json(self) -> str:
        """The file's text: sorted keys, two spaces, a newline at the end."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True, allow_nan=False) + "\n"
