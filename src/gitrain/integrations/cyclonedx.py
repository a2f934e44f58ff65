"""The software bill of materials: CycloneDX 1.6, JSON. Equal releases give equal text."""

import json
import uuid
from collections.abc import Iterable

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from gitrain.pipeline.layout import MODEL
from gitrain.release.materials import Materials
from gitrain.release.requirements import LockedRequirement

__all__ = ["bill_of_materials"]

# Serial numbers are UUIDs; ours name the content, so that they are no accident (RFC 9562, version 5).
_SERIALS = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/docs/1.6/json/#serialNumber")


def bill_of_materials(materials: Materials) -> bytes:
    """The bill of a release: the application, its models, its packed sources and every package that it installs.

    A package has the hashes of all files that may be installed of it, and its marker as a property.
    The served model depends on the judged one, which it was made from and which the bundle does not hold where another
    is served.
    """
    identity = materials.identity
    application = Component(
        name=identity.project,
        version=identity.version,
        type=ComponentType.APPLICATION,
        bom_ref=f"{identity.project}@{identity.version}",
        properties=_properties(
            {
                "gitrain:bundle": materials.bundle_digest,
                "gitrain:commit": identity.commit,
                "gitrain:data": identity.data_digest,
                "gitrain:dvc.lock": identity.lock_digest,
                "gitrain:requirements.lock": identity.environment_digest,
                "gitrain:schema": identity.schema_digest,
            }
        ),
    )
    served = _model(materials.served_path, identity.served_digest, identity.version)
    same = identity.model_digest == identity.served_digest
    judged = served if same else _model(MODEL, identity.model_digest, identity.version)
    sources = [
        Component(name=name, version=identity.commit, type=ComponentType.LIBRARY, bom_ref=f"src/{name}")
        for name in materials.sources
    ]
    packages = {entry.text: _package(entry) for entry in materials.requirements}
    direct = [packages[entry.text] for entry in materials.requirements if entry.name in materials.direct]
    bom = Bom(
        serial_number=uuid.uuid5(_SERIALS, f"{materials.bundle_digest} {identity.to_json()}"),
        metadata=BomMetaData(component=application, timestamp=materials.committed_at),
        components=[*{id(each): each for each in (judged, served)}.values(), *sources, *packages.values()],
    )
    bom.register_dependency(application, [served, *sources, *direct])
    if served is not judged:
        bom.register_dependency(served, [judged])
    output = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    # The library's own text depends on the order of sets nowhere, but it is not promised: sorted keys are.
    return (json.dumps(json.loads(output.output_as_string()), indent=2, sort_keys=True) + "\n").encode()


def _model(path: str, digest: str, version: str) -> Component:
    return Component(
        name=path,
        version=version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"{path}@{digest}",
        hashes=_hashes([digest]),
    )


def _package(entry: LockedRequirement) -> Component:
    url = PackageURL(type="pypi", name=entry.name, version=entry.version)
    return Component(
        name=entry.name,
        version=entry.version,
        type=ComponentType.LIBRARY,
        purl=url,
        bom_ref=url.to_string(),
        hashes=_hashes(entry.hashes),
        properties=_properties({"gitrain:marker": entry.marker} if entry.marker else {}),
    )


def _hashes(digests: Iterable[str]) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=each.removeprefix("sha256:")) for each in digests]


def _properties(values: dict[str, str]) -> list[Property]:
    return [Property(name=name, value=value) for name, value in sorted(values.items())]
