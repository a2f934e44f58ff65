"""Find the model that the base commit stands for: by its hash in that commit's dvc.lock, and in no other way."""

from dataclasses import dataclass

from gitrain.documents import parse_json
from gitrain.errors import GitrainError
from gitrain.evaluation.document import Evaluation
from gitrain.lineage import digest_of_bytes
from gitrain.pipeline.layout import EVALUATION, LOCK, MODEL, MODEL_MANIFEST
from gitrain.pipeline.lock import Lock
from gitrain.pipeline.repository import ArtifactCache, Repository
from gitrain.training.manifest import ModelManifest

__all__ = ["Champion", "NoChampion", "find_champion"]


@dataclass(frozen=True, kw_only=True)
class Champion:
    """The model of the base commit.

    Attributes:
        content: of `models/model.skops`; its hash is the one in the commit's dvc.lock.
        digest: the SHA-256 of `content`.
        manifest: `models/model.json` of the commit; its digest is that of `content`.
        evaluation: `reports/evaluation.json` of the commit, if it is there and about this model.
    """

    content: bytes
    digest: str
    manifest: ModelManifest
    evaluation: Evaluation | None


@dataclass(frozen=True, kw_only=True)
class NoChampion:
    """Why the base commit gives no model to compare with."""

    reason: str


def find_champion(repository: Repository, cache: ArtifactCache, commit: str) -> Champion | NoChampion:
    """The champion, or the reason why there is none. Nothing that is wrong with the base is an error of this tree.

    Args:
        repository: holds the commit.
        cache: gives the model by its hash.
        commit: the full hash of the base commit.
    """
    short = commit[:12]
    try:
        lock_file = repository.read(commit, LOCK)
        if lock_file is None:
            return NoChampion(reason=f"no champion yet: commit {short} has no {LOCK}")
        lock = Lock.parse(lock_file.decode(), source=f"{LOCK} at {short}")
        if MODEL not in lock.outs:
            return NoChampion(reason=f"no champion yet: {lock.source} has no {MODEL}")
        md5 = lock.md5_of(MODEL)
        path = cache.find(md5)
        if path is None:
            return NoChampion(
                reason=f"the champion ({MODEL} at {short}, md5 {md5}) is in neither the DVC cache nor a remote: "
                "run `dvc pull` in a clone that can reach it, or `dvc push` where it was trained"
            )
        content = path.read_bytes()
        digest = digest_of_bytes(content)
        manifest_file = repository.read(commit, MODEL_MANIFEST)
        if manifest_file is None:
            return NoChampion(reason=f"the champion has no manifest: commit {short} has no {MODEL_MANIFEST}")
        manifest = parse_json(ModelManifest, manifest_file.decode(), source=f"{MODEL_MANIFEST} at {short}")
        if manifest.model_digest != digest:
            return NoChampion(
                reason=f"{MODEL_MANIFEST} at {short} describes another model ({manifest.model_digest}) than the one in "
                f"its {LOCK} ({digest})"
            )
        evaluation = _evaluation(repository, commit, digest)
    except UnicodeDecodeError as error:
        return NoChampion(reason=f"{LOCK} or {MODEL_MANIFEST} at {short} is no UTF-8 text: {error}")
    except GitrainError as error:
        return NoChampion(reason=f"the champion cannot be had: {error.what}")
    except OSError as error:
        return NoChampion(reason=f"the champion cannot be read: {error}")
    return Champion(content=content, digest=digest, manifest=manifest, evaluation=evaluation)


def _evaluation(repository: Repository, commit: str, digest: str) -> Evaluation | None:
    """What the base commit measured its model with: a second opinion, which may be missing."""
    content = repository.read(commit, EVALUATION)
    if content is None:
        return None
    try:
        evaluation = parse_json(Evaluation, content.decode(), source=EVALUATION)
    except (GitrainError, UnicodeDecodeError):
        return None
    return evaluation if evaluation.model_digest == digest else None
