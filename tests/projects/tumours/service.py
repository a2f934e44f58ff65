"""The service of the tumours: `bentoml serve service:Tumours`."""

from gitrain.service import bento_service

__all__ = ["Tumours"]

Tumours = bento_service(__file__, name="tumours", description="Is a tumour malignant?")
