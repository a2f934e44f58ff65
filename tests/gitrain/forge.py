"""A repository with environments, its origin a bare one, and releases: what promotions are tried on."""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from gitrain.integrations.deployment_branch import DeploymentBranch
from gitrain.release.store import ReleaseStore
from gitrain.settings import load_settings
from gitrain.testing.releases import MadeRelease, make_release
from gitrain.wiring.releases import open_local_releases

ROOT = Path(__file__).parents[2]
PYPROJECT = '[tool.gitrain]\nproject = "tumours:PROJECT"\n'
PARAMS = "schema_version: 1\ntraining: {estimator: logistic}\n"
TEST = """\
# What runs in `test`.
schema_version: 1
follows: main   # the newest
suspend: false
"""
PREPROD = """\
# What runs in `preprod`.
schema_version: 1

# Both are set by a promotion.
release: null   # a version
digest: null
promotes_from: test
gates: {successful_runs: 1}   # in test
suspend: false
"""
PRODUCTION = """\
# What runs in `production`: a release that ran in preprod.
schema_version: 1

release: null
digest: null
promotes_from: preprod

runtime:
  replicas: 2   # one may fail
gates: {successful_runs: 2}
strategy:
  kind: canary
  steps:
    - {percent: 5, seconds: 120}
suspend: false
"""


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=check, capture_output=True, text=True)
    return done.stdout.strip()


@dataclass
class Forged:
    """A clone, its bare origin, and the releases of the clone's machine."""

    root: Path
    origin: Path
    store: ReleaseStore
    records: DeploymentBranch
    made: dict[str, MadeRelease] = field(default_factory=dict)

    def commit(self, message: str, **files: str) -> str:
        """Commit files (`/` is `__`) and push them."""
        for name, content in files.items():
            path = self.root / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        git(self.root, "add", "-A")
        git(self.root, "commit", "-q", "-m", message)
        git(self.root, "push", "-q", "origin", "main")
        return git(self.root, "rev-parse", "HEAD")

    def release(self, version: str, folder: Path) -> MadeRelease:
        """Build a release of the commit that is checked out."""
        release = make_release(
            folder / version,
            version,
            project="tumours",
            commit=git(self.root, "rev-parse", "HEAD"),
            model=version.encode(),
        )
        self.store.publish(release.record, release.bundle, release.attachments)
        self.made[version] = release
        return release

    def file(self, name: str, ref: str = "main") -> str:
        """An environment's file on a branch of the origin."""
        return git(self.origin, "show", f"{ref}:environments/{name}.yaml") + "\n"


def forge_at(repository: Path, folder: Path) -> Forged:
    """Make all of it: an origin in `folder`, and a clone in `repository`, which has one commit."""
    origin = folder / "origin.git"
    git(folder, "init", "-q", "--bare", "-b", "main", str(origin))
    git(repository, "remote", "add", "origin", str(origin))
    shutil.copytree(ROOT / ".github" / "rulesets", repository / ".github" / "rulesets")
    forged = Forged(repository, origin, open_local_releases_of(repository), DeploymentBranch(repository))
    forged.commit(
        "Environments",
        **{
            "pyproject.toml": PYPROJECT,
            "params.yaml": PARAMS,
            "requirements.lock": "numpy==2.3.0 --hash=sha256:00\n",
            ".gitignore": ".gitrain/\n",
            ".github__CODEOWNERS": "* @someone\n/environments/ @ada @acme/reviewers\n",
            "environments__test.yaml": TEST,
            "environments__preprod.yaml": PREPROD,
            "environments__production.yaml": PRODUCTION,
        },
    )
    return forged


def open_local_releases_of(repository: Path) -> ReleaseStore:
    (repository / "pyproject.toml").write_text(PYPROJECT)
    return open_local_releases(load_settings(repository))
