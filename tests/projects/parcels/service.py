"""The service of the parcels: `bentoml serve service:Parcels`."""

from gitrain.service import bento_service

__all__ = ["Parcels"]

Parcels = bento_service(__file__, name="parcels", description="Will a parcel arrive late?")
