"""Signatures of releases: who vouches for a record."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from pydantic import Field, field_validator

from gitrain.documents import Document, parse_json
from gitrain.errors import SettingsError
from gitrain.release.record import ReleaseRecord
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["SIGNATURE", "Signature", "Signer", "TrustedKey", "judge_signatures", "signature_name", "signed_text"]

#: The name of the verdict about signatures.
SIGNATURE = "release:signature"

_PREFIX, _SUFFIX = "signature-", ".json"


class Signature(Document):
    """A signature: an attachment of a release, one a key.

    Attributes:
        algorithm: ed25519 of RFC 8032.
        key: the public key's fingerprint as `ssh-keygen -l` prints it: ``SHA256:`` and 43 characters.
        record_digest: of the record that is signed.
        signature: of `signed_text`, in base64.
    """

    algorithm: Literal["ed25519"]
    key: str = Field(pattern=r"^SHA256:[A-Za-z0-9+/]{43}$")
    record_digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    signature: str

    @field_validator("signature")
    @classmethod
    def _sixty_four_bytes(cls, value: str) -> str:
        try:
            length = len(base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            length = 0
        if length != 64:
            raise ValueError("it is not 64 bytes in base64")
        return value

    @property
    def content(self) -> bytes:
        """The signature's bytes."""
        return base64.b64decode(self.signature)

    def to_json(self) -> str:
        """The file's text: sorted keys, two spaces, a newline at the end."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


class Signer(Protocol):
    """A private key."""

    @property
    def fingerprint(self) -> str:
        """The public key's, as in `Signature.key`."""

    def sign(self, record_digest: str) -> Signature:
        """Sign a record by its digest; the same record gives the same signature."""


class TrustedKey(Protocol):
    """A public key whose signatures count."""

    @property
    def name(self) -> str:
        """The name of its file."""

    @property
    def fingerprint(self) -> str:
        """As in `Signature.key`."""

    def made(self, signature: Signature) -> bool:
        """Whether this key made the signature, over the digest that it names."""


def signed_text(record_digest: str) -> bytes:
    """What is signed: the digest, and what it is of, so that the signature fits nothing else that the key signs."""
    return f"gitrain release record {record_digest}\n".encode()


def signature_name(key: str) -> str:
    """The name of the attachment with the signature of a key, by its fingerprint."""
    return f"{_PREFIX}{key.removeprefix('SHA256:').replace('/', '_').replace('+', '-')}{_SUFFIX}"


def judge_signatures(record: ReleaseRecord, attachments: Mapping[str, bytes], keys: Sequence[TrustedKey]) -> Verdict:
    """Whether a trusted key signed the record.

    Without keys and signatures there is nothing to judge: it is said, and passes. A signature that no key vouches for
    fails, and so does a release without one where keys are configured.

    Args:
        record: of the release.
        attachments: of the release, by name; those that are no signatures are passed over.
        keys: those in `release_keys`.
    """
    found = {name: content for name, content in attachments.items() if name.startswith(_PREFIX)}
    if not found:
        if keys:
            names = ", ".join(key.name for key in keys)
            return _verdict(Outcome.FAILED, f"it is not signed, and one of these keys has to sign it: {names}")
        return _verdict(Outcome.PASSED, "it is not signed, and no key is configured", signed=False)
    signers, others = [], []
    for name, content in sorted(found.items()):
        try:
            signature = parse_json(Signature, content.decode(errors="replace"), source=name)
        except SettingsError as error:
            return _verdict(Outcome.FAILED, error.what)
        if signature.record_digest != record.digest:
            return _verdict(
                Outcome.FAILED,
                f"{name} is of another record: expected {record.digest}, found {signature.record_digest}",
            )
        key = next((key for key in keys if key.fingerprint == signature.key), None)
        if key is None:
            others.append(signature.key)
        elif key.made(signature):
            signers.append(key.name)
        else:
            return _verdict(Outcome.FAILED, f"{name} is no signature that {key.name} made: it was changed")
    if not signers:
        return _verdict(
            Outcome.FAILED,
            f"no trusted key made its signature, which says it is of {others[0]}: put that public key into "
            "release_keys if you trust it",
        )
    return _verdict(Outcome.PASSED, f"signed by {', '.join(signers)}", signed=True)


def _verdict(outcome: Outcome, reason: str, **figures: Figure) -> Verdict:
    return Verdict(name=SIGNATURE, outcome=outcome, reason=reason, figures=figures)
