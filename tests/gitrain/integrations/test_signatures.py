"""Signatures by real keys: those of ssh-keygen and of OpenSSL's format, and what is no key."""

import base64
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gitrain.errors import UsageError
from gitrain.integrations.signatures import read_signer, read_trusted_key
from gitrain.lineage import digest_of_bytes
from gitrain.release.signature import Signature, judge_signatures, signature_name, signed_text
from gitrain.testing.releases import make_release
from gitrain.verdicts import Outcome

DIGEST = digest_of_bytes(b"a record")
# The first secret key of RFC 8032, section 7.1.
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


@pytest.fixture
def key_files(tmp_path):
    """Write a key pair as files; the private one's path."""

    def write(name="key", secret=SECRET, kind="OpenSSH", passphrase=None):
        key = Ed25519PrivateKey.from_private_bytes(secret)
        secrecy = (
            serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
        )
        private = key.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, kind), secrecy)
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        (tmp_path / name).write_bytes(private)
        (tmp_path / f"{name}.pub").write_bytes(public + b" ada@example.org\n")
        return tmp_path / name

    return write


def trusted(path):
    return read_trusted_key(path.with_name(f"{path.name}.pub"), path.name)


@pytest.mark.parametrize("kind", ["OpenSSH", "PKCS8"])
def test_a_signature_is_that_of_the_key(kind, key_files):
    path = key_files(kind=kind)
    signer, key = read_signer(path), trusted(path)

    signature = signer.sign(DIGEST)

    assert signature.record_digest == DIGEST
    assert signature.key == signer.fingerprint == key.fingerprint
    assert key.made(signature)
    # The same again: signing twice gives one file.
    assert signer.sign(DIGEST) == signature
    # By the library alone, over the documented text.
    Ed25519PrivateKey.from_private_bytes(SECRET).public_key().verify(
        base64.b64decode(signature.signature), f"gitrain release record {DIGEST}\n".encode()
    )


def test_the_key_is_that_of_the_standard(key_files):
    content = trusted(key_files())
    blob = (11).to_bytes(4, "big") + b"ssh-ed25519" + (32).to_bytes(4, "big") + PUBLIC
    assert content.fingerprint == "SHA256:" + base64.b64encode(
        bytes.fromhex(digest_of_bytes(blob).removeprefix("sha256:"))
    ).decode().rstrip("=")


def test_what_is_not_signed_is_not_signed(key_files):
    path = key_files()
    signature, key = read_signer(path).sign(DIGEST), trusted(path)
    content = bytearray(signature.content)
    content[7] ^= 1

    changed = signature.model_copy(update={"signature": base64.b64encode(bytes(content)).decode()})
    elsewhere = signature.model_copy(update={"record_digest": digest_of_bytes(b"another")})

    assert not key.made(changed)
    assert not key.made(elsewhere)
    assert not trusted(key_files("other", b"\x01" * 32)).made(signature)


def test_a_passphrase(key_files):
    path = key_files(kind="PKCS8", passphrase="geheim")

    assert read_signer(path, "geheim").fingerprint == trusted(path).fingerprint
    for wrong in (None, "falsch"):
        with pytest.raises(UsageError, match="cannot be read"):
            read_signer(path, wrong)
    # One too many does no harm: the variable may be set for another key.
    assert read_signer(key_files("open"), "geheim").fingerprint == trusted(path).fingerprint


def test_no_secret_in_messages(key_files):
    path = key_files(kind="PKCS8", passphrase="geheim")
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(UsageError) as raised:
        read_signer(path, "s3cret")

    assert "s3cret" not in str(raised.value)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_keys_of_ssh_keygen(tmp_path):
    path = tmp_path / "release-key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    listed = subprocess.run(["ssh-keygen", "-l", "-f", path], check=True, capture_output=True, text=True).stdout

    assert read_signer(path).fingerprint == trusted(path).fingerprint == listed.split()[1]


def test_what_is_no_key(tmp_path, key_files):
    other = generate_private_key(SECP256R1())
    (tmp_path / "ec").write_bytes(
        other.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (tmp_path / "ec.pub").write_bytes(
        other.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    )
    (tmp_path / "text").write_text("no key")
    (tmp_path / "text.pub").write_text("no key")
    path = key_files()

    for name, says in (
        ("gone", "cannot be read"),
        ("text", "cannot be read"),
        ("ec", "no Ed25519 key"),
        ("key.pub", "cannot be read"),
    ):
        with pytest.raises(UsageError, match=says):
            read_signer(tmp_path / name)
    for name, says in (
        ("gone", "cannot be read"),
        ("text.pub", "no public key"),
        ("ec.pub", "no Ed25519"),
        ("key", "no public key"),
    ):
        with pytest.raises(UsageError, match=says):
            read_trusted_key(tmp_path / name, name)
    assert path.exists()


class TestJudging:
    @pytest.fixture
    def record(self, tmp_path):
        return make_release(tmp_path / "bundle").record

    def attached(self, signature):
        return {signature_name(signature.key): signature.to_json().encode()}

    def test_nothing_to_judge(self, record):
        verdict = judge_signatures(record, {"sbom.cdx.json": b"{}"}, [])
        assert (verdict.outcome, verdict.reason) == (Outcome.PASSED, "it is not signed, and no key is configured")

    def test_a_key_and_no_signature(self, record, key_files):
        verdict = judge_signatures(record, {}, [trusted(key_files())])
        assert verdict.outcome is Outcome.FAILED
        assert "one of these keys has to sign it: key" in verdict.reason

    def test_a_trusted_signature(self, record, key_files):
        path = key_files()
        other = key_files("other", b"\x02" * 32)
        attachments = self.attached(read_signer(path).sign(record.digest))
        verdict = judge_signatures(record, attachments, [trusted(other), trusted(path)])
        assert (verdict.outcome, verdict.reason) == (Outcome.PASSED, "signed by key")
        # Another signature beside it, by a key that is trusted no more, takes nothing away.
        gone = self.attached(read_signer(key_files("gone", b"\x03" * 32)).sign(record.digest))
        assert judge_signatures(record, attachments | gone, [trusted(path)]).outcome is Outcome.PASSED

    def test_a_signature_that_nobody_trusts(self, record, key_files):
        path = key_files()
        attachments = self.attached(read_signer(path).sign(record.digest))
        for keys in ([], [trusted(key_files("other", b"\x02" * 32))]):
            verdict = judge_signatures(record, attachments, keys)
            assert verdict.outcome is Outcome.FAILED
            assert read_signer(path).fingerprint in verdict.reason

    def test_a_signature_of_another_record(self, record, key_files):
        path = key_files()
        verdict = judge_signatures(record, self.attached(read_signer(path).sign(DIGEST)), [trusted(path)])
        assert verdict.outcome is Outcome.FAILED
        assert f"expected {record.digest}, found {DIGEST}" in verdict.reason

    def test_a_signature_that_was_changed(self, record, key_files):
        path = key_files()
        (name, content), *_ = self.attached(read_signer(path).sign(record.digest)).items()
        forged = Ed25519PrivateKey.from_private_bytes(b"\x04" * 32).sign(signed_text(record.digest))
        signature = Signature.model_validate_json(content)
        other = signature.model_copy(update={"signature": base64.b64encode(forged).decode()})
        for bad in (other.to_json().encode(), content[:-30], b"\xff", content.replace(b"ed25519", b"none")):
            assert judge_signatures(record, {name: bad}, [trusted(path)]).outcome is Outcome.FAILED

    def test_names_of_attachments_are_plain(self):
        assert signature_name("SHA256:a/b+c" + "d" * 38) == f"signature-a_b-c{'d' * 38}.json"


@pytest.mark.parametrize("value", ["", "AAAA", "!" * 88, base64.b64encode(b"x" * 65).decode()])
def test_a_signature_is_64_bytes(value):
    with pytest.raises(ValueError, match="64 bytes"):
        Signature(
            schema_version=1,
            algorithm="ed25519",
            key=f"SHA256:{'a' * 43}",
            record_digest=DIGEST,
            signature=value,
        )
