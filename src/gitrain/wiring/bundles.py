"""Building releases: what a commit is judged and packed with."""

import contextlib
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path

from gitrain.integrations.bentoml.bundle import BentoBuilder
from gitrain.integrations.containers import BentoImages, find_engine
from gitrain.integrations.dvc_clone import DvcClone
from gitrain.integrations.dvc_sandbox import DvcSandbox
from gitrain.integrations.git_tree import GitTree
from gitrain.integrations.requirements import InstalledPackages
from gitrain.operations.build_release import PackTools
from gitrain.operations.judge_release import ReleaseTools
from gitrain.pipeline.stages import PipelineTree
from gitrain.release.images import ImageBuilder
from gitrain.release.materials import Materials
from gitrain.settings import load_settings
from gitrain.wiring.releases import open_local_releases, open_release_store, open_release_stores
from gitrain.wiring.repository import open_artifact_cache, open_git, open_model_format, open_stage, open_workspace

__all__ = ["open_image_builder", "open_pack_tools", "open_release_tools"]


def open_release_tools(directory: str, progress: Callable[[str], None], *, today: date) -> ReleaseTools:
    """What a commit of the repository that `directory` lies in is judged with."""
    stage = open_stage(directory, progress)
    root = stage.workspace.root

    def pipeline() -> AbstractContextManager[PipelineTree]:
        # DVC takes half a second to import.
        from gitrain.integrations.dvc_tree import open_dvc_tree

        return open_dvc_tree(root)

    return ReleaseTools(
        stage=stage,
        project=load_settings(root).repository.project,
        repository=open_git(root),
        tree=GitTree(root),
        cache=open_artifact_cache(root),
        open_pipeline=pipeline,
        sandbox=DvcSandbox(root=root),
        maker=DvcClone(root),
        open_model_format=lambda: open_model_format(root),
        workspace_in=open_workspace,
        installed=InstalledPackages(),
        today=today,
    )


def open_pack_tools(directory: str, store: str | None = None) -> PackTools:
    """What a commit is packed with.

    Args:
        directory: a folder of the repository.
        store: where the release is kept; by default the store of this machine.
    """
    settings = load_settings(Path(directory))
    return PackTools(
        store=open_local_releases(settings) if store is None else open_release_store(settings, store),
        known=open_release_stores(settings, store),
        open_folder=_folder,
        builder=BentoBuilder,
        bill=_bill,
        libraries=tuple(
            Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")
        ),
    )


def open_image_builder(engine: str | None = None) -> ImageBuilder:
    """What builds images here: the engine of that name, or the first that works.

    Raises:
        UsageError: there is no such engine.
        IntegrationError: it does not work here, or none does.
    """
    return BentoImages(find_engine(engine))


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gitrain-release-") as folder:
        yield Path(folder)


def _bill(materials: Materials) -> bytes:
    # The library takes a third of a second to import, and refused commits need none of it.
    from gitrain.integrations.cyclonedx import bill_of_materials

    return bill_of_materials(materials)
