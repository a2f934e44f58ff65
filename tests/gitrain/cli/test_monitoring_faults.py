"""`gitrain monitor run` on disks that are full, and killed anywhere: a verdict or an error, and no half a report."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.gitrain.full_disk import DISKS, small_disk
from tests.gitrain.monitored_parcels import Month, write_log

from gitrain.cli.main import main
from gitrain.monitoring.report import MonitoringReport
from gitrain.wiring.repository import open_repository

ROOT = Path(__file__).parents[3]
KILLS = int(os.environ.get("GITRAIN_KILLS", "6"))
NAMES = ("monitoring.json", "monitoring.html", "monitoring.md", "monitoring.prom")
OPTIONS = ("--out", "--html", "--markdown", "--prometheus")


@pytest.fixture
def monitored(parcels_copy) -> Path:
    """A repository with an environment, whose service has logged a month into two files."""
    (parcels_copy / "environments").mkdir()
    (parcels_copy / "environments/test.yaml").write_text("schema_version: 1\nfollows: main\n", encoding="utf-8")
    for command in (("add", "environments"), ("commit", "-q", "-m", "An environment")):
        subprocess.run(["git", *command], cwd=parcels_copy, check=True, capture_output=True)
    month = Month.of(parcels_copy, open_repository(str(parcels_copy)).project.features)
    for number in (1, 2):
        write_log(parcels_copy / ".gitrain/predictions", month, number=number)
    return parcels_copy


def arguments(root: Path, out: Path) -> list[str]:
    named = [part for option, name in zip(OPTIONS, NAMES, strict=True) for part in (option, str(out / name))]
    return ["-C", str(root), "monitor", "run", "--environment", "test", *named]


def judged(out: Path) -> MonitoringReport:
    """What does not depend on when it was asked, or how long it took."""
    report = MonitoringReport.model_validate_json((out / NAMES[0]).read_text(encoding="utf-8"))
    window = report.window.model_copy(update={"through": report.window.since})
    return report.model_copy(
        update={"generated": report.window.since, "window": window, "inputs_digest": "", "seconds": 0.0}
    )


def halves(out: Path) -> list[str]:
    """Reports that are neither whole nor absent; what a killed process left beside them is none."""
    ends = ("}\n", "</html>\n", "\n", "\n")
    found = [out / name for name in NAMES]
    return [
        path.name
        for path, end in zip(found, ends, strict=True)
        if path.exists() and not path.read_text(encoding="utf-8").endswith(end)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", DISKS)
def test_reports_that_have_no_room_are_told_and_the_former_ones_stay(monitored, tmp_path, kind, capsys):
    with small_disk(kind, tmp_path / "out", kilobytes=4096, most=1024) as disk:
        assert main(arguments(monitored, disk.folder)) == 0
        former = {path.name: path.read_bytes() for path in disk.folder.iterdir()}
        whole = judged(disk.folder)
        capsys.readouterr()
        with disk.full():
            assert main(arguments(monitored, disk.folder)) == 3
            there = {path.name: path.read_bytes() for path in disk.folder.iterdir() if path.name != "ballast"}
        said = capsys.readouterr()
        assert "monitoring.json cannot be written: " in said.err and "make room" in said.err
        assert said.out == ""
        assert there == former
        assert main(arguments(monitored, disk.folder)) == 0
        assert judged(disk.folder) == whole


@pytest.mark.slow
@pytest.mark.parametrize("kind", DISKS)
def test_a_state_that_has_no_room_costs_time_and_no_verdict(monitored, tmp_path, kind, monkeypatch, capsys):
    out = tmp_path / "out"
    assert main(arguments(monitored, out)) == 0
    whole = judged(out)
    monkeypatch.setenv("GITRAIN_STATE", str(tmp_path / "state"))
    with small_disk(kind, tmp_path / "state", kilobytes=2048, most=16) as disk:
        if kind == "tmpfs":
            with disk.full():
                assert main(arguments(monitored, out)) == 0
        else:
            # The reports have a disk of their own.
            with disk.full():
                code = main([*arguments(monitored, out)[:-8], "--json"])
            assert code == 0
        assert judged(out) == whole
        assert not [path.name for path in disk.folder.rglob("*.kept")]
        assert not [path.name for path in disk.folder.rglob("days-*.json")]
        assert "cannot be written: " in capsys.readouterr().err
        assert main(arguments(monitored, out)) == 0
        assert len([path.name for path in disk.folder.rglob("*.kept")]) == 2
        assert len([path.name for path in disk.folder.rglob("days-*.json")]) == 1
    assert judged(out) == whole


@pytest.mark.slow
def test_killed_anywhere_it_leaves_nothing_half_done_and_says_the_same_again(monitored, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-m", "tests.gitrain.killed_program"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as program:

        def run(**how: object) -> dict[str, object]:
            assert program.stdin is not None and program.stdout is not None
            program.stdin.write(json.dumps({"arguments": arguments(monitored, out), **how}) + "\n")
            program.stdin.flush()
            return json.loads(program.stdout.readline())

        first = run()
        assert first["code"] == 0, first["said"]
        whole = judged(out)
        kept = monitored / ".gitrain/monitoring/test"
        draw = random.Random(20260301)
        moments: list[dict[str, object]] = [{"effect": number} for number in range(int(str(first["effects"])))]
        moments += [{"seconds": draw.uniform(0, float(str(first["seconds"])))} for _ in range(KILLS)]
        assert len(moments) > KILLS + len(NAMES)
        killed, beside, days = 0, set(), set()
        for moment in moments:
            for path in (*kept.glob("*"), *out.glob("*")):
                # Effects are counted from nothing; at other moments half of what the runs before have left is there.
                if "effect" in moment or draw.random() < 0.5:
                    path.unlink()
            ended = run(**moment)
            killed += ended["code"] == -9
            assert ended["code"] in (-9, 0), (moment, ended)
            assert halves(out) == [], moment
            for path in kept.glob("days-*.json"):
                days |= {path.read_bytes()}
            beside |= {path.name.split(".")[2] for path in out.glob(".monitoring.*.part")}
            if (out / NAMES[0]).exists():
                assert judged(out) == whole, moment
        assert killed >= len(moments) // 2
        assert len(days) == 1, "what was counted is there whole, or not at all"
        # It was killed while each of the reports was being written.
        assert beside == {name.split(".")[1] for name in NAMES}
        assert run()["code"] == 0
        assert judged(out) == whole
        assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) == sorted(NAMES)
