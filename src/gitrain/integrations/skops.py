"""Models in the skops format: a zip of JSON and NumPy arrays that holds no code and no pickle.

skops writes memory addresses as identifiers, and the zip the time of day; `SkopsFormat` rewrites the archive so that
equal models give equal bytes. What it writes is still the plain format: `skops.io.load` reads it too.
"""

import io
import json
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn
import skops.io
from sklearn.exceptions import InconsistentVersionWarning
from skops.io.exceptions import UntrustedTypesFoundException

from gitrain.errors import ModelError
from gitrain.integrations.skops_archive import normalised
from gitrain.integrations.skops_trees import problem_of_trees
from gitrain.training.estimators import Estimator

__all__ = ["TRUSTED", "SkopsFormat"]

TRUSTED = (
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)
"""Types that are loaded beside those that skops trusts by itself (scikit-learn's public estimators, plain values).

skops leaves the two kinds of trees out because their content can crash scikit-learn; here that content is checked
(`gitrain.integrations.skops_trees`) before anybody predicts with it.
"""

_SCHEMA = "schema.json"
_MEMBER = re.compile(r"[\w-]+\.(npy|npz|bin)")
# JSON takes some twenty times its size in memory; the schema of 10,000 trees has about 12 MB.
_MAX_SCHEMA_BYTES = 128 * 2**20


@dataclass(frozen=True)
class SkopsFormat:
    """A `gitrain.training.model_format.ModelFormat`.

    Attributes:
        trusted: full names of more types that a project's own estimators need, ``package.module.Class``. Whoever names
            a type here vouches for what its ``__setstate__`` does with hostile state.
        max_bytes: the largest archive, unpacked, that is read.
    """

    trusted: tuple[str, ...] = ()
    max_bytes: int = 2**30

    def dump(self, estimator: Estimator) -> bytes:
        """The model as bytes; equal models give equal bytes, on any machine.

        Raises:
            ModelError: the model holds something that skops cannot store, or that `load` would refuse.
        """
        try:
            content = skops.io.dumps(estimator)
        except Exception as error:  # skops lets through whatever the state of a foreign type raises
            raise ModelError(
                f"the model cannot be stored: {_one_line(error)}",
                fix="build it from scikit-learn's estimators, or from classes whose state is arrays and plain values.",
            ) from error
        content = normalised(content)
        # Better now, beside the fit, than in the next stage.
        self.load(content, name="the model just fitted")
        return content

    def load(self, content: bytes, *, name: str) -> Estimator:
        """The model in `content`.

        The archive is checked before anything is built from it: its size, its members, the version of scikit-learn,
        the types.

        Args:
            content: the file's bytes. Compare their digest with the manifest's first: no format is safe from every
                crafted file.
            name: of the file, for messages.

        Raises:
            ModelError: not a zip, damaged, too large, pickled parts, types that are not trusted, another minor version
                of scikit-learn, or not a classifier.
        """
        schema = self._checked_schema(content, name)
        _check_version(schema, name)
        try:
            with warnings.catch_warnings():
                # A patch release apart: `_check_version` has decided that this is fine.
                warnings.simplefilter("ignore", InconsistentVersionWarning)
                estimator = skops.io.loads(content, trusted=[*TRUSTED, *self.trusted])
        except UntrustedTypesFoundException as error:
            untrusted = set(skops.io.get_untrusted_types(data=content)) - {*TRUSTED, *self.trusted}
            raise ModelError(
                f"{name} holds types that are not trusted: {', '.join(sorted(untrusted))}",
                fix="if the file is yours and you have read these types, name them in SkopsFormat(trusted=...).",
            ) from error
        except Exception as error:  # a crafted or damaged schema raises anything: KeyError, RecursionError, ...
            raise _damaged(name, _one_line(error)) from error
        if not callable(getattr(estimator, "predict_proba", None)):
            raise ModelError(
                f"{name} holds {type(estimator).__name__}, which is no classifier with probabilities",
                fix="train an estimator with predict_proba.",
            )
        problem = problem_of_trees(estimator)
        if problem is not None:
            raise _damaged(name, problem)
        return estimator  # type: ignore[no-any-return]

    def _checked_schema(self, content: bytes, name: str) -> Mapping[str, Any]:
        """The schema of an archive whose members have been looked at."""
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                members = archive.infolist()
                self._check_members(members, name)
                for member in members:
                    if member.filename.endswith((".npy", ".npz")):
                        self._check_arrays(archive.read(member), f"{name}: {member.filename}", member.filename)
                schema = json.loads(archive.read(_SCHEMA))
        except ModelError:
            raise
        # zlib.error, NotImplementedError (compression), struct.error, RecursionError, EOFError, ...
        except Exception as error:
            raise _damaged(name, _one_line(error)) from error
        if not isinstance(schema, dict):
            raise _damaged(name, f"{_SCHEMA} is no mapping")
        return schema

    def _check_members(self, members: Iterable[zipfile.ZipInfo], name: str) -> None:
        seen: set[str] = set()
        total = 0
        for member in members:
            # zipfile reads no more than the size that is declared here, and compares the checksum.
            total += member.file_size
            if total > self.max_bytes or (member.filename == _SCHEMA and member.file_size > _MAX_SCHEMA_BYTES):
                raise ModelError(
                    f"{name} unpacks to more than is read: {member.filename} has {member.file_size:,} bytes",
                    fix="do not trust the file; if it is yours, raise max_bytes of SkopsFormat.",
                )
            if member.filename in seen:
                raise _damaged(name, f"{member.filename!r} stands twice in it")
            seen.add(member.filename)
            if member.filename != _SCHEMA and not _MEMBER.fullmatch(member.filename):
                raise ModelError(
                    f"{name} holds {member.filename!r}, which is no part of a skops model",
                    fix="do not trust the file: train the model anew, or `dvc pull` it.",
                )
        if _SCHEMA not in seen:
            raise _damaged(name, f"{_SCHEMA} is missing")

    def _check_arrays(self, content: bytes, where: str, filename: str) -> None:
        """Refuse arrays of Python objects: NumPy stores these as pickles."""
        if filename.endswith(".npz"):
            with zipfile.ZipFile(io.BytesIO(content)) as inner:
                if sum(member.file_size for member in inner.infolist()) > self.max_bytes:
                    raise ModelError(f"{where} unpacks to more than is read", fix="do not trust the file.")
                for member in inner.infolist():
                    self._check_arrays(inner.read(member), f"{where}/{member.filename}", "array.npy")
            return
        try:
            np.load(io.BytesIO(content), allow_pickle=False)
        except (ValueError, EOFError, MemoryError) as error:
            raise ModelError(
                f"{where} is no plain array, or holds pickled objects: {_one_line(error)}",
                fix="do not trust the file: train the model anew, or `dvc pull` it.",
            ) from error


def _check_version(schema: Mapping[str, Any], name: str) -> None:
    """scikit-learn promises nothing about a model of another minor version: some load and predict wrongly."""
    here = sklearn.__version__
    for found in sorted(set(_versions(schema))):
        if found.split(".")[:2] != here.split(".")[:2]:
            raise ModelError(
                f"{name} was made with scikit-learn {found}, and {here} is installed",
                fix=f"install scikit-learn {found}, or train the model anew.",
            )


def _versions(schema: object) -> Iterator[str]:
    """What scikit-learn wrote beside the state of its estimators."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            version = node.get("_sklearn_version")
            if isinstance(version, dict) and isinstance(version.get("content"), str):
                yield version["content"].strip('"')
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _damaged(name: str, why: str) -> ModelError:
    return ModelError(
        f"{name} is no readable skops model: {why}", fix="restore it with `dvc pull` or `dvc repro`; do not trust it."
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
