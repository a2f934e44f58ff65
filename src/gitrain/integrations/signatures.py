"""Ed25519 signatures (RFC 8032), by the library cryptography: keys as OpenSSH and OpenSSL write them."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gitrain.errors import UsageError
from gitrain.release.signature import Signature, signed_text

__all__ = ["Ed25519Signer", "Ed25519TrustedKey", "read_signer", "read_trusted_key"]

_MAKE = "make one: `ssh-keygen -t ed25519 -N '' -f release-key`."


@dataclass(frozen=True)
class Ed25519Signer:
    """A `Signer`."""

    _key: Ed25519PrivateKey

    @property
    def fingerprint(self) -> str:
        """The public key's fingerprint, as `ssh-keygen -l` prints it."""
        return _fingerprint(self._key.public_key())

    def sign(self, record_digest: str) -> Signature:
        """Sign a record by its digest."""
        return Signature(
            schema_version=1,
            algorithm="ed25519",
            key=self.fingerprint,
            record_digest=record_digest,
            signature=base64.b64encode(self._key.sign(signed_text(record_digest))).decode(),
        )


@dataclass(frozen=True)
class Ed25519TrustedKey:
    """A `TrustedKey`.

    Attributes:
        name: the name of its file.
    """

    name: str
    _key: Ed25519PublicKey

    @property
    def fingerprint(self) -> str:
        """The fingerprint, as `ssh-keygen -l` prints it."""
        return _fingerprint(self._key)

    def made(self, signature: Signature) -> bool:
        """Whether this key made the signature, over the digest that it names."""
        try:
            self._key.verify(signature.content, signed_text(signature.record_digest))
        except InvalidSignature:
            return False
        return True


def read_signer(path: Path, passphrase: str | None = None) -> Ed25519Signer:
    """Read a private key: OpenSSH's format or PEM (PKCS 8).

    Raises:
        UsageError: there is no such file, it holds no Ed25519 key, or the passphrase is missing or wrong.
    """
    content = _content(path)
    load = (
        serialization.load_ssh_private_key if b"OPENSSH PRIVATE KEY" in content else serialization.load_pem_private_key
    )
    try:
        try:
            key = load(content, password=passphrase.encode() if passphrase else None)
        except TypeError:
            # It has a passphrase and none was given, or the other way round.
            if passphrase is None:
                raise
            key = load(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if "bcrypt" in str(error):
            what = "has a passphrase in OpenSSH's format, which takes the library bcrypt"
            raise UsageError(
                f"the private key {path} {what}",
                fix="install bcrypt, or make the key with OpenSSL: `openssl genpkey -algorithm ed25519 -aes256`.",
            ) from error
        raise UsageError(
            f"the private key {path} cannot be read: {_first_line(error)}",
            fix="give one in OpenSSH's format or PEM, and its passphrase, if any, in GITRAIN_SIGNING_KEY_PASSPHRASE.",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"the private key {path} is no Ed25519 key", fix=_MAKE)
    return Ed25519Signer(key)


def read_trusted_key(path: Path, name: str) -> Ed25519TrustedKey:
    """Read a public key in OpenSSH's format: one line, ``ssh-ed25519 AAAA… comment``.

    Args:
        path: of the file.
        name: of the key, for people.

    Raises:
        UsageError: there is no such file, or it holds no Ed25519 key.
    """
    try:
        key = serialization.load_ssh_public_key(_content(path).strip())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"{name} holds no public key: {_first_line(error)}",
            fix="put the .pub file that ssh-keygen wrote there.",
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{name} holds no Ed25519 key", fix=_MAKE)
    return Ed25519TrustedKey(name, key)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"the key {path} cannot be read: {error.strerror}", fix=_MAKE) from error


def _fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the key's blob in base64 without padding: RFC 4253, section 6.6, and `ssh-keygen -l`."""
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    blob = base64.b64decode(line.split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
