"""Finding, fetching, verifying, listing and publishing releases."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gitrain.errors import PipelineError, ReleaseError, UsageError
from gitrain.integrations.files import LocalWorkspace
from gitrain.integrations.local_objects import LocalObjects
from gitrain.integrations.release_store import ObjectReleaseStore
from gitrain.integrations.signatures import Ed25519Signer, Ed25519TrustedKey
from gitrain.operations.fetch_release import fetch_release
from gitrain.operations.find_release import find_release
from gitrain.operations.list_releases import list_releases
from gitrain.operations.publish_release import ReleaseRegistration, publish_release
from gitrain.operations.verify_release import verify_release
from gitrain.project import load_project
from gitrain.registry.models import RegisteredModel
from gitrain.release.record import SBOM
from gitrain.release.signature import signature_name
from gitrain.release.tags import ReleaseTag, release_tag
from gitrain.testing.releases import MemoryObjects, MemoryTags, make_release
from gitrain.verdicts import Outcome

COMMIT = "c" * 40
KEY = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
SIGNER = Ed25519Signer(KEY)
TRUSTED = Ed25519TrustedKey("releases/keys/ada.pub", KEY.public_key())
STRANGER = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(b"\x02" * 32))


@pytest.fixture
def project(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "projects" / "tumours"))
    return load_project("tumours:PROJECT")


@pytest.fixture
def local(tmp_path):
    return ObjectReleaseStore(LocalObjects(tmp_path / "local"))


@pytest.fixture
def remote():
    return ObjectReleaseStore(MemoryObjects(url="memory://releases"))


@pytest.fixture
def tags():
    return MemoryTags(commits={COMMIT, "d" * 40})


@pytest.fixture
def put(tmp_path):
    """Put a release into a store."""

    def put(store, version="1.4.0", **options):
        made = make_release(tmp_path / "bundles" / f"{version}-{len(options)}-{id(store)}", version, **options)
        store.publish(made.record, made.bundle, made.attachments)
        return made.record

    return put


@pytest.fixture
def publish(project, local, remote, tags, tmp_path):
    @contextlib.contextmanager
    def scratch():
        folder = tmp_path / "scratch"
        folder.mkdir()
        yield folder
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()

    def publish(version="latest", target=remote, keys=(), **options):
        return publish_release(
            project, [local, target], target, version, tags=tags, keys=keys, scratch=scratch, **options
        )

    return publish


def steps(published):
    return {step.name: step.done for step in published.steps}


class TestFinding:
    def test_the_newest_of_all_stores(self, local, remote, put):
        put(local, "0.9.0")
        newest = put(remote, "0.10.0")
        found = find_release([local, remote])
        assert (found.version, found.record, found.store) == ("0.10.0", newest, remote)

    def test_the_first_store_that_has_it(self, local, remote, put):
        put(local, "0.9.0")
        put(remote, "0.9.0")
        assert find_release([local, remote], "v0.9.0").store is local
        assert find_release([remote, local], "0.9.0").store is remote
        assert find_release([remote, local]).store is remote

    @pytest.mark.parametrize("version", ["1.4", "newest", "../1.4.0", "v", "1.4.0-rc.1", ""])
    def test_what_is_no_version(self, local, version):
        with pytest.raises(UsageError, match="no version"):
            find_release([local], version)

    def test_what_is_not_there(self, local, remote, put):
        for version in ("latest", "1.4.0"):
            with pytest.raises(ReleaseError, match=r"in .*local or memory://releases"):
                find_release([local, remote], version)

    def test_a_release_as_a_folder(self, local, put, tmp_path):
        record = put(local)
        fetched = fetch_release([local], tmp_path / "unpacked")
        assert fetched.record == record
        assert fetched.folder == tmp_path / "unpacked" / record.bundle_digest.removeprefix("sha256:")
        assert (fetched.folder / "src" / "release.json").read_text() == record.identity.to_json()
        assert fetch_release([local], tmp_path / "unpacked", "1.4.0") == fetched
        (fetched.folder / "src" / "requirements.txt").write_text("evil==1.0\n")
        with pytest.raises(ReleaseError, match=r"requirements\.txt: expected"):
            fetch_release([local], tmp_path / "unpacked")


class TestVerifying:
    def test_a_release_that_is_whole(self, local, put, tags):
        record = put(local)
        verified = verify_release([local], keys=[], tags=tags.tags())
        assert verified.outcome is Outcome.PASSED
        assert verified.record == record
        assert [verdict.name for verdict in verified.verdicts] == [
            "release:digests",
            "release:signature",
            "release:tag",
        ]
        assert "publishing makes it" in verified.verdicts[-1].reason
        json.dumps(verified.to_json())

    def test_a_changed_file_is_named(self, local, put, tmp_path):
        put(local, model=b"the model")
        (path,) = (
            path for path in (tmp_path / "local").rglob("*") if path.is_file() and path.read_bytes() == b"the model"
        )
        path.chmod(0o644)
        path.write_bytes(b"the modem")
        verified = verify_release([local], keys=[], tags=[])
        assert verified.outcome is Outcome.FAILED
        (digests,) = (verdict for verdict in verified.verdicts if verdict.name == "release:digests")
        assert digests.reason.startswith("src/models/serving/model.onnx (blobs/sha256/")
        assert "expected sha256:" in digests.reason
        assert "found sha256:" in digests.reason

    def test_a_record_that_cannot_be_read(self, local, put, tmp_path):
        put(local)
        path = tmp_path / "local" / "records" / "1.4.0.json"
        path.chmod(0o644)
        path.write_text(path.read_text().replace('"Linux"', '"Linus"').replace(" ", "  ", 1))
        verified = verify_release([local], "latest", keys=[], tags=[])
        assert verified.outcome is Outcome.FAILED
        assert verified.record is None
        assert "records/1.4.0.json is not written as release records are" in verified.verdicts[0].reason

    def test_many_differences_are_not_all_told(self, remote, put):
        put(remote, files={f"src/f{number}": b"%d" % number for number in range(40)})
        for name in [name for name in remote.objects.files if name.startswith("blobs/")]:
            del remote.objects.files[name]
        verdicts = verify_release([remote], keys=[], tags=[]).verdicts
        told = [verdict.reason for verdict in verdicts if verdict.name == "release:digests"]
        assert len(told) == 21
        assert told[-1].startswith("and ")

    def test_a_store_that_was_changed_throughout_is_found_out_by_the_tag(self, project, local, put, tags):
        """Every digest fits, since all were computed anew; the tag in Git names another record."""
        honest = put(local, project=project.name)
        tags.add_tag(release_tag(honest))
        other = ObjectReleaseStore(MemoryObjects())
        put(other, project=project.name, model=b"another model")
        verified = verify_release([other], keys=[], tags=tags.tags())
        assert {verdict.name: verdict.outcome for verdict in verified.verdicts} == {
            "release:digests": Outcome.PASSED,
            "release:signature": Outcome.PASSED,
            "release:tag": Outcome.FAILED,
        }
        assert honest.digest in verified.verdicts[-1].reason

    def test_tags_of_others(self, local, put):
        record = put(local)
        tag = release_tag(record)
        elsewhere = verify_release([local], keys=[], tags=[replace(tag, commit="d" * 40)])
        assert elsewhere.outcome is Outcome.FAILED
        assert f"expected commit {COMMIT}, found {'d' * 40}" in elsewhere.verdicts[-1].reason
        by_gto = verify_release([local], keys=[], tags=[ReleaseTag(name=tag.name, commit=tag.commit, message="x")])
        assert by_gto.outcome is Outcome.PASSED

    def test_a_configured_key_asks_for_a_signature(self, local, put):
        put(local)
        assert verify_release([local], keys=[TRUSTED], tags=[]).outcome is Outcome.FAILED


class TestListing:
    def test_every_release_once(self, local, remote, put, tags):
        old = put(local, "0.9.0")
        new = put(local, "0.10.0")
        put(remote, "0.9.0")
        other = put(remote, "0.11.0", commit="d" * 40)
        tags.add_tag(release_tag(old))
        found = list_releases([local, remote], tags.tags())
        assert [(each.record, len(each.stores), each.tagged) for each in found] == [
            (other, 1, False),
            (new, 1, False),
            (old, 2, True),
        ]
        json.dumps([each.to_json() for each in found])

    def test_two_that_share_a_version_are_both_listed(self, local, remote, put):
        put(local)
        put(remote, model=b"another")
        assert len(list_releases([local, remote], [])) == 2


class TestPublishing:
    def test_all_of_it_once(self, project, local, remote, put, publish, tags):
        record = put(local, project=project.name)
        first = publish(keys=[TRUSTED], signer=SIGNER)
        assert first.verified.outcome is Outcome.PASSED
        assert steps(first) == {"signature": True, "store": True, "tag": True}
        assert "names this record" in first.verified.verdicts[-1].reason
        for store in (local, remote):
            assert store.find("1.4.0") == record
            assert list(store.attachments("1.4.0")) == [SBOM, signature_name(SIGNER.fingerprint)]
            assert verify_release([store], keys=[TRUSTED], tags=tags.tags()).outcome is Outcome.PASSED
        assert [tag.name for tag in tags.tags()] == [f"{project.name}@v1.4.0"]
        again = publish(keys=[TRUSTED], signer=SIGNER)
        assert steps(again) == {"signature": False, "store": False, "tag": False}
        assert not again.to_json()["changed"]
        assert again.verified.outcome is Outcome.PASSED
        # Who has no private key, and nothing left to sign, publishes again too.
        assert steps(publish(keys=[TRUSTED])) == {"signature": False, "store": False, "tag": False}

    def test_to_the_place_where_it_was_built(self, project, local, put, publish):
        put(local, project=project.name)
        assert steps(publish(target=local)) == {"signature": False, "store": False, "tag": True}
        assert steps(publish(target=local, keys=[TRUSTED], signer=SIGNER)) == {
            "signature": True,
            "store": True,
            "tag": False,
        }

    def test_a_damaged_release_goes_nowhere(self, project, local, remote, put, publish, tags, tmp_path):
        put(local, project=project.name, model=b"the model")
        (path,) = (
            path for path in (tmp_path / "local").rglob("*") if path.is_file() and path.read_bytes() == b"the model"
        )
        path.unlink()
        published = publish(signer=SIGNER, keys=[TRUSTED])
        assert published.verified.outcome is Outcome.FAILED
        assert published.steps == ()
        assert list(remote.versions()) == []
        assert list(tags.tags()) == []

    def test_a_tag_on_another_commit_stops_everything(self, project, local, remote, put, publish, tags):
        record = put(local, project=project.name)
        tags.add_tag(replace(release_tag(record), commit="d" * 40))
        assert publish().verified.outcome is Outcome.FAILED
        assert list(remote.versions()) == []

    def test_another_release_of_that_version_is_there(self, project, local, remote, put, publish, tags):
        put(local, project=project.name)
        put(remote, project=project.name, model=b"another")
        with pytest.raises(ReleaseError, match=r"another release 1\.4\.0"):
            publish()
        assert list(tags.tags()) == []

    def test_a_key_that_nobody_trusts_signs_nothing(self, project, local, remote, put, publish):
        put(local, project=project.name)
        for keys in ([], [TRUSTED]):
            with pytest.raises(UsageError, match="not in release_keys"):
                publish(keys=keys, signer=STRANGER)
        with pytest.raises(UsageError, match="is not signed") as raised:
            publish(keys=[TRUSTED])
        assert "GITRAIN_SIGNING_KEY" in raised.value.fix
        assert list(remote.versions()) == []
        assert list(local.attachments("1.4.0")) == [SBOM]

    def test_a_new_key_signs_too(self, project, local, put, publish):
        put(local, project=project.name)
        publish(keys=[TRUSTED], signer=SIGNER)
        new = Ed25519TrustedKey("new.pub", Ed25519PrivateKey.from_private_bytes(b"\x02" * 32).public_key())
        assert steps(publish(keys=[new], signer=STRANGER)) == {"signature": True, "store": True, "tag": False}
        assert verify_release([local], keys=[new], tags=[]).outcome is Outcome.PASSED

    def test_a_release_of_another_project(self, local, remote, put, publish):
        put(local, project="another")
        with pytest.raises(ReleaseError, match="of the project 'another'"):
            publish()
        assert list(remote.versions()) == []

    def test_without_a_tag(self, project, local, put, publish, tags):
        put(local, project=project.name)
        assert steps(publish(make_tag=False)) == {"signature": False, "store": True}
        assert list(tags.tags()) == []


class Registry:
    """A `ReleaseRegistry` that remembers; recording a run adds its model."""

    def __init__(self, project, model_digest=None):
        self.named = []
        self.models = [] if model_digest is None else [self.model(project, model_digest)]

    @staticmethod
    def model(project, digest):
        return RegisteredModel(
            name=project, version=3, model_digest=digest, run_key="", run_id="", commit=None, source=""
        )

    def find(self, name, model_digest):
        return next((model for model in self.models if (model.name, model.model_digest) == (name, model_digest)), None)

    def name_release(self, model, release):
        new = (model, release) not in self.named
        self.named.append((model, release))
        return new

    def releases(self, model):
        return [release for named, release in self.named if named == model]


class TestRegistering:
    @pytest.fixture
    def tree(self, tmp_path):
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree" / "dvc.lock").write_bytes(b"lock")
        return LocalWorkspace(tmp_path / "tree")

    def never(self):
        raise AssertionError("the run is recorded already")

    def test_a_model_that_is_registered_gets_the_releases_name(self, project, local, put, publish, tree):
        record = put(local, project=project.name)
        registry = Registry(project.name, record.identity.model_digest)
        registration = ReleaseRegistration(registry=registry, workspace=tree, record_run=self.never)
        published = publish(registration=registration)
        assert published.steps[-1].text == f"{project.name} v3 is named 1.4.0"
        ((_, release),) = registry.named
        assert (release.version, release.record_digest, release.commit) == ("1.4.0", record.digest, COMMIT)
        assert release.lineage["lock"] == record.identity.lock_digest
        again = publish(registration=registration)
        assert not again.steps[-1].done
        assert again.steps[-1].text.endswith("already")

    def test_a_run_that_is_not_recorded_is_recorded_first(self, project, local, put, publish, tree):
        record = put(local, project=project.name)
        registry = Registry(project.name)

        def record_run():
            registry.models.append(registry.model(project.name, record.identity.model_digest))

        published = publish(registration=ReleaseRegistration(registry=registry, workspace=tree, record_run=record_run))
        assert published.steps[-1].done
        assert len(registry.named) == 1

    def test_where_the_run_cannot_be_recorded_it_is_left_out(self, project, local, put, publish, tree):
        put(local, project=project.name)
        registry = Registry(project.name)

        def missing():
            raise PipelineError("models/model.skops is missing", fix="run `dvc pull`.")

        for record_run, lock, says in (
            (missing, b"lock", "models/model.skops is missing"),
            (lambda: None, b"lock", "has another model"),
            (self.never, b"another", "this tree is another than commit cccccccccccc"),
            (self.never, None, "this tree is another"),
        ):
            place = tree.root / "dvc.lock"
            place.unlink(missing_ok=True)
            if lock is not None:
                place.write_bytes(lock)
            registration = ReleaseRegistration(registry=registry, workspace=tree, record_run=record_run)
            step = publish(registration=registration).steps[-1]
            assert (step.name, step.done) == ("registry", False)
            assert step.text.startswith("left out: ")
            assert says in step.text
        assert registry.named == []
