"""The service: `bentoml serve flight_delay.service:FlightDelay` from the repository's root."""

from gitrain.service import bento_service

__all__ = ["FlightDelay"]

FlightDelay = bento_service(
    __file__, name="flight-delay", description="Will a flight arrive fifteen minutes late or more?"
)
