"""The canonical form of a skops archive: what depends on a process or on the clock is written anew."""

import io
import json
import zipfile
from collections import Counter
from typing import Any

import numpy as np

__all__ = ["normalised"]

_SCHEMA = "schema.json"
_NPY = b"\x93NUMPY"
# The earliest time that a zip can hold.
_EPOCH = (1980, 1, 1, 0, 0, 0)
# Whether two of these are one object or two is chance (interned strings, small integers) and makes no difference.
_IMMUTABLE = {"JsonNode", "TypeNode", "FunctionNode", "TupleNode", "SliceNode", "DTypeNode", "BytesNode"}


def normalised(content: bytes) -> bytes:
    """Rewrite an archive that `skops.io.dumps` made.

    Identifiers, which are memory addresses, become 1, 2, ... in the order of appearance, and stay only on objects that
    are referred to more than once; arrays are named likewise; sets are sorted; times are fixed; nothing is compressed,
    because not every zlib compresses alike.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return _Rewriter(archive).rewrite()


class _Rewriter:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._schema = json.loads(archive.read(_SCHEMA))
        self._references: Counter[int] = Counter()
        self._numbers: dict[int, int] = {}
        self._files: list[tuple[str, bytes]] = []

    def rewrite(self) -> bytes:
        self._count(self._schema)
        schema = self._node(self._schema)
        text = json.dumps(schema, separators=(",", ":"), allow_nan=False).encode()
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression=zipfile.ZIP_STORED) as out:
            for name, content in [(_SCHEMA, text), *self._files]:
                member = zipfile.ZipInfo(name, date_time=_EPOCH)
                member.create_system = 3
                member.external_attr = 0o644 << 16
                out.writestr(member, content)
        return buffer.getvalue()

    def _count(self, value: Any) -> None:
        """How often each object is referred to; what is inside a repeated object counts once."""
        if isinstance(value, dict):
            identifier = _identity(value)
            if identifier is not None:
                self._references[identifier] += 1
                if self._references[identifier] > 1:
                    return
            for part in value.values():
                self._count(part)
        elif isinstance(value, list):
            for part in value:
                self._count(part)

    def _node(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._node(part) for part in value]
        if not isinstance(value, dict):
            return value
        if "__loader__" not in value:
            return {key: self._node(part) for key, part in value.items()}
        identifier = _identity(value)
        if identifier is not None and identifier in self._numbers:
            # skops looks an identifier up before it reads anything else of the node.
            kept = {key: value[key] for key in ("__class__", "__module__", "__loader__")}
            return {**kept, "__id__": self._numbers[identifier]}
        number = None
        if identifier is not None and self._references[identifier] > 1:
            number = self._numbers[identifier] = len(self._numbers) + 1
        node = {key: self._node(part) for key, part in value.items() if key not in ("__id__", "file")}
        if "file" in value:
            node["file"] = self._file(value["file"])
        if value["__loader__"] == "SetNode":
            node["content"] = sorted(node["content"], key=json.dumps)
        if number is not None:
            node["__id__"] = number
        return node

    def _file(self, name: str) -> str:
        renamed = f"{len(self._files) + 1}.{name.rpartition('.')[2]}"
        self._files.append((renamed, _without_padding(self._archive.read(name))))
        return renamed


def _without_padding(content: bytes) -> bytes:
    """An array of records whose gaps are zero; the trees of scikit-learn have memory of the process in them."""
    if not content.startswith(_NPY):
        return content
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.names is None or not array.nbytes:
        return content
    # `zeros_like` and `np.save` go field by field, and leave in the gaps what was in memory.
    clean = np.zeros(array.shape, array.dtype, order="F" if np.isfortran(array) else "C")
    for field in array.dtype.names:
        clean[field] = array[field]
    return content[: -array.nbytes] + clean.tobytes("A")


def _identity(node: dict[str, Any]) -> int | None:
    """The identifier of an object of which it matters whether it is the same as another."""
    loader = node.get("__loader__")
    if loader is None or loader in _IMMUTABLE:
        return None
    # A NumPy scalar; only arrays can be changed.
    if loader == "NdArrayNode" and node["__class__"] != "ndarray":
        return None
    return node.get("__id__")
