"""A service has its log copied: one of a tree, and one of a release with the packages that it installs and no other."""

import importlib.metadata
import json
import re
from pathlib import Path

import pytest
from tests.gitrain.integrations.copying_at_once import STAYS, at_once
from tests.gitrain.integrations.logged_records import names_of_parsed
from tests.gitrain.integrations.test_log_copy_program import assert_same, read_all
from tests.gitrain.operations.test_served_release import BLOCKER, OPTIONAL, installed_names
from tests.gitrain.served import filled_store, serving

from gitrain.integrations.log_copies import COPIES, copies_by_file
from gitrain.integrations.log_scan import LogScan
from gitrain.monitoring.logged import logged_schema
from gitrain.wiring.releases import open_release
from gitrain.wiring.repository import open_repository

pytestmark = pytest.mark.slow

ROWS = 400
PROGRAM = b"gitrain.integrations.log_copy_program"


@pytest.fixture(scope="module")
def store(parcels, tmp_path_factory):
    return filled_store(parcels, tmp_path_factory.mktemp("store"))


def in_a_tree(parcels, _, folder):
    return parcels, "service:Parcels", at_once(folder / "path")


def in_a_release(_, request, folder):
    release = open_release(str(request.getfixturevalue("released_parcels")))
    names = installed_names(release)
    blocked = {
        module
        for module, packages in importlib.metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", package).lower() for package in packages} & names
    } - OPTIONAL
    return folder, str(release), at_once(folder / "path", STAYS + BLOCKER.format(blocked=blocked))


@pytest.mark.parametrize("place", [in_a_tree, in_a_release])
def test_what_a_service_has_logged_is_there_in_columns(place, request, parcels, store, tmp_path):
    project = open_repository(str(parcels)).project
    schema = logged_schema(project.features, project.entity_table.contract)
    row = json.loads((parcels / "models/known_answers.json").read_text())["rows"][-1]["inputs"]
    root, service, variables = place(parcels, request, tmp_path)
    variables |= {"GITRAIN_ONLINE_STORE": store, "GITRAIN_PREDICTION_LOG_FILE_MB": "1"}

    with serving(root, service, tmp_path / "service", **variables) as served:
        log = served.predictions

        def files():
            return sorted(path.name for path in log.glob("*.jsonl"))

        while len(files()) < 4:
            assert served.predict({"parcels": [row] * ROWS})[0] == 200
        served.wait_until(lambda: sorted(copies_by_file(log)) == files()[:-1], "the copies")
        served.wait_until(lambda: not copying(log), "the end of who makes them")
        assert served.terminate() == 0
    assert not copying(log) and not list((log / COPIES).glob(".*.part"))

    with names_of_parsed() as parsed:
        found = LogScan(log, kept=None).read(schema)
    assert parsed == files()[-1:]
    assert_same(found, read_all(log, schema))
    assert found.frame.height % ROWS == 0 and found.unreadable == 0


def copying(log: Path) -> list[int]:
    """The processes that make copies of a log."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if PROGRAM in command and str(log).encode() in command:
            found.append(int(path.parent.name))
    return found
