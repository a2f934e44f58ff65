"""What has to be refused: a leak and a slow release, made for any project from its own objects."""

__all__ = ["LEAK_MODULE", "SLOW_AFTER_SECONDS", "SLOW_SECONDS", "leak_source", "service_path", "slowed"]

from gitrain.errors import UsageError

#: The module that a leak is written to, at the repository's root.
LEAK_MODULE = "rehearsal_leak"

#: The slow release answers at once for so long after its first prediction: longer than its probes take.
SLOW_AFTER_SECONDS = 10.0
#: And then takes so much longer.
SLOW_SECONDS = 0.4

_LEAK = '''"""Made by `gitrain rehearse`: the project, with one feature more, which reads the outcome."""

from dataclasses import replace

import pandera.polars as pa
import polars as pl

from gitrain.features.definitions import RowFeature
from {module} import {name} as HONEST

__all__ = ["PROJECT"]

_LABEL = HONEST.target.label
_FEATURES, _ENTITY, _CONTRACT = HONEST.features, HONEST.features.entity, HONEST.feature_contract
# Somebody is sure that these columns are known at the decision.
_KNOWN = tuple(dict.fromkeys((*_ENTITY.known_in_advance, *_LABEL.meta.root_names())))

PROJECT = replace(
    HONEST,
    features=replace(
        _FEATURES,
        entity=replace(_ENTITY, known_in_advance=_KNOWN),
        features=(*_FEATURES.features, RowFeature(name="rehearsed_leak", expression=_LABEL.cast(pl.Float64))),
    ),
    feature_contract=replace(
        _CONTRACT,
        schema=_CONTRACT.schema.add_columns({{"rehearsed_leak": pa.Column(pl.Float64, nullable=True)}}),
    ),
)
'''

_SLOW = """

# Made by `gitrain rehearse`: the service becomes slow some seconds after its first prediction. No probe lasts so long.
import asyncio  # noqa: E402
import time  # noqa: E402

from gitrain.serving.coalescing import Coalescer  # noqa: E402

_at_once, _first = Coalescer.submit, []


def _ever_later(self, item, size):
    _first[:] = _first or [time.monotonic()]

    async def answer():
        # Others are answered meanwhile: it is slow, not blocked.
        if time.monotonic() - _first[0] > {after:g}:
            await asyncio.sleep({seconds:g})
        return await _at_once(self, item, size)

    return answer()


Coalescer.submit = _ever_later
"""


def leak_source(reference: str) -> str:
    """The source of a module whose PROJECT is another one, and a feature that reads the outcome.

    Args:
        reference: that other one, ``package.module:NAME``.
    """
    module, _, name = reference.partition(":")
    return _LEAK.format(module=module, name=name)


def service_path(service: str, files: list[str]) -> str:
    """The file of a service's module.

    Args:
        service: ``package.module:NAME``.
        files: the paths of the repository.

    Raises:
        UsageError: none of them is it.
    """
    module = service.partition(":")[0].replace(".", "/")
    wanted = [f"{folder}{module}{end}" for folder in ("src/", "") for end in (".py", "/__init__.py")]
    found = next((path for path in wanted if path in files), None)
    if found is None:
        raise UsageError(f"the service {service} has no file in the repository", fix=f"add {wanted[0]} to Git.")
    return found


def slowed(source: str) -> str:
    """The source of a service's module, with a fault that comes out under traffic only."""
    return source.rstrip("\n") + "\n" + _SLOW.format(after=SLOW_AFTER_SECONDS, seconds=SLOW_SECONDS)
