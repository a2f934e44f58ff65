"""How the rules of a tree differ from those of another: a change that loosens a gate must not hide in a long diff."""

from collections.abc import Iterator, Mapping

from gitrain.pipeline.params import Params

__all__ = ["changed_rules"]

_SECTIONS = ("gates", "evaluation")
_NOTHING = "nothing"


def changed_rules(before: Params, after: Params) -> tuple[str, ...]:
    """A sentence for each value under `gates` and `evaluation` that differs, by its dotted key.

    Waivers are left out: verdicts name them.
    """
    old, new = (dict(_flat(_rules(params))) for params in (before, after))
    keys = [*old, *(key for key in new if key not in old)]
    return tuple(
        f"{key}: {old.get(key, _NOTHING)} → {new.get(key, _NOTHING)}" for key in keys if old.get(key) != new.get(key)
    )


def _rules(params: Params) -> dict[str, object]:
    content = params.model_dump(mode="json", include=set(_SECTIONS), exclude_none=True)
    content["gates"].pop("waivers", None)
    return {section: content[section] for section in sorted(content, reverse=True)}


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
