"""The lock's checks on a real Git repository with a real DVC pipeline of three tiny stages, whole and spoilt."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from tests.gitrain.checks.defects import SeededDefect

from gitrain.checks import lock as rules
from gitrain.checks.lock_execution import choose_stages
from gitrain.errors import PipelineError, UsageError
from gitrain.integrations.dvc import DvcPipeline
from gitrain.integrations.dvc_sandbox import DvcSandbox
from gitrain.integrations.dvc_tree import open_dvc_tree
from gitrain.integrations.files import LocalWorkspace
from gitrain.integrations.git import GitRepository
from gitrain.operations.check_lock import check_lock
from gitrain.operations.stage import Stage
from gitrain.pipeline.lock import Lock
from gitrain.verdicts import Outcome, Verdict, worst

DVC_YAML = """\
stages:
  collect:
    cmd: python steps/collect.py
    deps: [steps/collect.py, lib]
    params: [rows]
    outs: [raw]
  fit:
    cmd: python steps/fit.py
    deps: [steps/fit.py, raw/a.txt]
    params: [fit]
    outs:
      - model.bin
      - manifest.json: {cache: false}
  judge:
    cmd: python steps/judge.py
    deps: [model.bin, manifest.json, raw]
    metrics:
      - score.json: {cache: false}
"""
COLLECT = """\
import pathlib, yaml
rows = yaml.safe_load(open("params.yaml"))["rows"]
pathlib.Path("raw/more").mkdir(parents=True, exist_ok=True)
for name in ("a.txt", "b.txt", "more/c.txt"):
    pathlib.Path("raw", name).write_text(f"{name}\\n" * rows)
"""
FIT = """\
import pathlib
pathlib.Path("model.bin").write_bytes(pathlib.Path("raw/a.txt").read_bytes()[::-1])
pathlib.Path("manifest.json").write_text('{"rows": 3}\\n')
"""
JUDGE = """\
import pathlib
pathlib.Path("score.json").write_text('{"score": %d}\\n' % len(pathlib.Path("model.bin").read_bytes()))
"""
PARAMS = "rows: 3\nfit:\n  rate: 1e-3\n  day: '2013-01-02'\n  steps: [1, 2]\nunread: 1\n"


def run(folder: Path, *command: str) -> str:
    line = [sys.executable, "-m", *command] if command[0] == "dvc" else list(command)
    return subprocess.run(
        line, cwd=folder, env=os.environ | {"DVC_NO_ANALYTICS": "1"}, check=True, capture_output=True, text=True
    ).stdout


def commit(root: Path, message: str = "A change") -> None:
    run(root, "git", "add", "-A")
    run(root, "git", "commit", "-q", "--allow-empty", "-m", message)


def repro(root: Path, *, force: bool = False) -> None:
    DvcPipeline(root).repro(progress=lambda line: None, force=force)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`main` has an empty pipeline; the branch `change` has run one. A remote lies beside, and has everything."""
    root = tmp_path_factory.mktemp("lock") / "repository"
    root.mkdir()
    run(root, "git", "init", "-q", "-b", "main")
    run(root, "dvc", "init", "-q")
    commit(root, "A start")
    run(root, "git", "checkout", "-q", "-b", "change")
    (root / "steps").mkdir()
    for name, text in (("collect", COLLECT), ("fit", FIT), ("judge", JUDGE)):
        (root / "steps" / f"{name}.py").write_text(text)
    (root / "lib" / "deep").mkdir(parents=True)
    for name in ("z.py", "a.py", "deep/b.py", "deep-er.py"):
        (root / "lib" / name).write_text(f"# {name}\n")
    (root / "dvc.yaml").write_text(DVC_YAML)
    (root / "params.yaml").write_text(PARAMS)
    repro(root)
    commit(root, "A run")
    return root


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "copy" / "repository", symlinks=True)
    return tmp_path / "copy" / "repository"


def with_remote(root: Path, *, push: bool = True) -> Path:
    (root / ".dvc" / "config").write_text("[core]\n    remote = store\n['remote \"store\"']\n    url = ../../remote\n")
    if push:
        run(root, "dvc", "push", "-q")
    commit(root, "A remote")
    return root.parent / "remote"


def check(root: Path, base: str | None = "main", **options: Any) -> dict[str, Verdict]:
    lines: list[str] = []
    stage = cast(Stage, SimpleNamespace(workspace=LocalWorkspace(root), progress=lines.append))
    with open_dvc_tree(root) as tree:
        verdicts = check_lock(stage, GitRepository(root), tree, DvcSandbox(root=root), base=base, **options)
    return {verdict.name: verdict for verdict in verdicts}


def outcomes(verdicts: dict[str, Verdict]) -> dict[str, str]:
    return {name: verdict.outcome.value for name, verdict in verdicts.items() if verdict.outcome is not Outcome.PASSED}


def locked(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "dvc.lock").read_text())


def write_lock(root: Path, content: dict[str, Any]) -> None:
    (root / "dvc.lock").write_text(yaml.safe_dump(content, sort_keys=False))


def cached(root: Path, md5: str, folder: str = ".dvc/cache") -> Path:
    return root / folder / "files" / "md5" / md5[:2] / md5[2:]


def out(content: dict[str, Any], stage: str, path: str, part: str = "outs") -> dict[str, Any]:
    return next(entry for entry in content["stages"][stage][part] if entry["path"] == path)


def empty_cache(root: Path) -> None:
    shutil.rmtree(root / ".dvc" / "cache")


# --- seeded defects ------------------------------------------------------------------------------------------------


def conflict_markers(root: Path) -> None:
    text = (root / "dvc.lock").read_text()
    (root / "dvc.lock").write_text(f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n")


def no_lock(root: Path) -> None:
    (root / "dvc.lock").unlink()


def path_outside(root: Path) -> None:
    content = locked(root)
    out(content, "fit", "model.bin")["path"] = "../model.bin"
    write_lock(root, content)


def absolute_path(root: Path) -> None:
    content = locked(root)
    out(content, "collect", "lib", "deps")["path"] = "/etc/passwd"
    write_lock(root, content)


def command_changed(root: Path) -> None:
    text = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(text.replace("python steps/judge.py", "python steps/judge.py --kindly"))


def stage_never_run(root: Path) -> None:
    text = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(text + "  extra:\n    cmd: 'true'\n    outs: [extra.txt]\n")


def stage_in_the_lock_alone(root: Path) -> None:
    content = locked(root)
    content["stages"]["ghost"] = {"cmd": "true", "outs": [{"path": "ghost.bin", "hash": "md5", "md5": "0" * 32}]}
    write_lock(root, content)


def output_in_the_lock_alone(root: Path) -> None:
    content = locked(root)
    content["stages"]["fit"]["outs"].append({"path": "other.bin", "hash": "md5", "md5": "0" * 32, "size": 1})
    write_lock(root, content)


def params_without_repro(root: Path) -> None:
    (root / "params.yaml").write_text(PARAMS.replace("1e-3", "2e-3"))


def stale_code(root: Path) -> None:
    (root / "steps" / "fit.py").write_text(FIT + "# another comment\n")


def mixed_merge(root: Path) -> None:
    """What a merge by lines leaves: one stage of another run."""
    before = locked(root)
    (root / "params.yaml").write_text(PARAMS.replace("rows: 3", "rows: 4"))
    repro(root)
    after = locked(root)
    after["stages"]["judge"] = before["stages"]["judge"]
    write_lock(root, after)


def writes_to_its_input(root: Path) -> None:
    writing = "import pathlib\np = pathlib.Path('raw/a.txt'); p.unlink(); p.write_text('mine')\n"
    (root / "steps" / "fit.py").write_text(writing + FIT)
    repro(root)


def report_altered(root: Path) -> None:
    (root / "score.json").write_text('{"score": 99}\n')


def report_missing(root: Path) -> None:
    (root / "manifest.json").unlink()


def data_altered(root: Path) -> None:
    (root / "raw" / "b.txt").unlink()
    (root / "raw" / "b.txt").write_text("altered\n")


def object_missing(root: Path) -> None:
    with_remote(root)
    md5 = out(locked(root), "fit", "model.bin")["md5"]
    cached(root, md5).unlink()
    cached(root.parent / "remote", md5, ".").unlink()


def object_truncated(root: Path) -> None:
    path = cached(root, out(locked(root), "fit", "model.bin")["md5"])
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-3])


def forged_model(root: Path) -> None:
    """Another model with a lock that fits it in every hash: no rule of hashes can see that."""
    forged = (root / "model.bin").read_bytes().swapcase()
    md5 = hashlib.md5(forged, usedforsecurity=False).hexdigest()
    content = locked(root)
    for part, stage in (("outs", "fit"), ("deps", "judge")):
        entry = out(content, stage, "model.bin", part)
        entry["md5"], entry["size"] = md5, len(forged)
    write_lock(root, content)
    (root / "model.bin").unlink()
    (root / "model.bin").write_bytes(forged)
    cached(root, md5).parent.mkdir(parents=True, exist_ok=True)
    cached(root, md5).write_bytes(forged)


def forged_md5(root: Path) -> None:
    content = locked(root)
    out(content, "fit", "manifest.json")["md5"] = "0" * 32
    write_lock(root, content)


def random_output(root: Path) -> None:
    (root / "steps" / "fit.py").write_text(FIT + "import os\npathlib.Path('model.bin').write_bytes(os.urandom(30))\n")
    repro(root)


DEFECTS: list[tuple[str, str, Callable[[Path], None]]] = [
    (rules.READABLE, "conflict markers in dvc.lock", conflict_markers),
    (rules.READABLE, "dvc.lock was not committed", no_lock),
    (rules.READABLE, "the lock names ../model.bin", path_outside),
    (rules.READABLE, "the lock names /etc/passwd", absolute_path),
    (rules.STAGES, "a command was changed without running it", command_changed),
    (rules.STAGES, "a new stage was never run", stage_never_run),
    (rules.STAGES, "a stage in dvc.lock that dvc.yaml does not have", stage_in_the_lock_alone),
    (rules.STAGES, "an output in dvc.lock that its stage does not have", output_in_the_lock_alone),
    (rules.PARAMS_MATCH, "a parameter was changed without `dvc repro`", params_without_repro),
    (rules.INPUTS, "code was changed without `dvc repro`: a stale hash", stale_code),
    (rules.CHAIN, "a merge by lines mixed the hashes of two runs", mixed_merge),
    (rules.CHAIN, "a stage that writes to its input", writes_to_its_input),
    (rules.CHAIN, "a forged hash of one output", forged_md5),
    (rules.OUTPUTS, "a report was edited by hand", report_altered),
    (rules.OUTPUTS, "a report was not committed", report_missing),
    (rules.OUTPUTS, "data was altered after the stage wrote it", data_altered),
    (rules.STORED, "a model that was never pushed", object_missing),
    (rules.STORED, "a truncated file in the cache", object_truncated),
    (
        rules.EXECUTION,
        "a model that was not trained by this tree, with a lock that fits it in every hash",
        forged_model,
    ),
    (rules.EXECUTION, "a stage whose output differs on every run", random_output),
]
SEEDED_DEFECTS = [SeededDefect(check=check, defect=defect) for check, defect, _ in DEFECTS]


@pytest.mark.parametrize(("name", "defect", "seed"), DEFECTS, ids=[f"{name} {text}" for name, text, _ in DEFECTS])
def test_a_seeded_defect_is_found(root: Path, name: str, defect: str, seed: Callable[[Path], None]) -> None:
    seed(root)
    commit(root, defect)
    verdicts = check(root, execute="all" if name == rules.EXECUTION else "none")
    assert verdicts[name].outcome is Outcome.FAILED, outcomes(verdicts)
    assert "dvc " in verdicts[name].reason or "git" in verdicts[name].reason, verdicts[name].reason


# --- the honest tree -----------------------------------------------------------------------------------------------


def test_every_definition_has_its_seeded_defect() -> None:
    assert {definition.name for definition in rules.CHECKS} == {each.check for each in SEEDED_DEFECTS}


def test_the_honest_tree_passes_every_check_and_dvc_agrees(root: Path) -> None:
    verdicts = check(root, execute="all")
    assert outcomes(verdicts) == {}
    assert list(verdicts) == [definition.name for definition in rules.CHECKS]
    assert verdicts[rules.EXECUTION].figures["stages_run"] == 3
    assert DvcPipeline(root).status() == {}


def test_hashes_are_those_that_dvc_writes(root: Path) -> None:
    lock = Lock.parse((root / "dvc.lock").read_text())
    with open_dvc_tree(root) as tree:
        for entry in lock.stages.values():
            for file in (*entry.deps, *entry.outs):
                assert tree.md5(file.path) == file.md5, file.path


@pytest.mark.parametrize("seed", [params_without_repro, stale_code, report_altered, data_altered, command_changed])
def test_where_dvc_status_sees_a_change_we_do_too(root: Path, seed: Callable[[Path], None]) -> None:
    seed(root)
    assert DvcPipeline(root).status() != {}
    assert Outcome.FAILED in {verdict.outcome for verdict in check(root, execute="none").values()}


def test_a_parameter_that_no_stage_reads_makes_nothing_stale(root: Path) -> None:
    (root / "params.yaml").write_text(PARAMS.replace("unread: 1", "unread: 2").replace("1e-3", "0.001"))
    assert DvcPipeline(root).status() == {}
    assert set(outcomes(check(root, execute="none"))) == {rules.EXECUTION}


def test_a_tree_without_data_needs_none(root: Path) -> None:
    """As a fresh clone in CI: outputs of DVC are not there, the cache is."""
    shutil.rmtree(root / "raw")
    (root / "model.bin").unlink()
    assert outcomes(check(root, base="change")) == {}
    assert not (root / "raw").exists()
    assert not (root / "model.bin").exists()


def test_the_mending_commands_are_exact(root: Path) -> None:
    stale_code(root)
    reason = check(root)[rules.INPUTS].reason
    assert "stage 'fit' was run with another steps/fit.py" in reason
    assert "`dvc repro judge`" in reason
    assert "`git add dvc.lock manifest.json score.json`" in reason
    run(root, "dvc", "repro", "-q", "judge")
    run(root, "git", "add", "dvc.lock", "manifest.json", "score.json", "steps")
    run(root, "git", "commit", "-q", "-m", "Mended")
    assert outcomes(check(root)) == {}


# --- storage -------------------------------------------------------------------------------------------------------


def test_neither_cache_nor_remote_is_no_failure_and_no_pass(root: Path) -> None:
    empty_cache(root)
    verdict = check(root, execute="none")[rules.STORED]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "no remote is configured" in verdict.reason


def test_a_remote_is_asked_and_nothing_is_fetched(root: Path) -> None:
    with_remote(root)
    empty_cache(root)
    verdict = check(root, execute="none")[rules.STORED]
    assert verdict.outcome is Outcome.PASSED
    assert verdict.figures["folders_by_listing_alone"] == 1
    assert "only the listing was asked for" in verdict.reason
    assert not (root / ".dvc" / "cache" / "files").exists()


def test_members_of_a_folder_are_asked_for_where_its_listing_is_at_hand(root: Path) -> None:
    remote = with_remote(root)
    with open_dvc_tree(root) as tree:
        members = tree.listing(out(locked(root), "collect", "raw")["md5"])
    assert members is not None
    for folder in (root / ".dvc" / "cache", remote):
        cached(folder, members["b.txt"], ".").unlink()
    verdict = check(root, execute="none")[rules.STORED]
    assert verdict.outcome is Outcome.FAILED
    assert "raw/b.txt" in verdict.reason
    assert "`dvc push`" in verdict.reason


def test_an_altered_listing_is_damage(root: Path) -> None:
    path = cached(root, out(locked(root), "collect", "raw")["md5"])
    path.chmod(0o644)
    path.write_text("[]")
    verdict = check(root, execute="none")[rules.STORED]
    assert verdict.outcome is Outcome.FAILED
    assert "was altered" in verdict.reason


def test_a_remote_that_cannot_be_asked_is_an_error(root: Path) -> None:
    (root / ".dvc" / "config").write_text(
        "[core]\n    remote = web\n['remote \"web\"']\n    url = http://127.0.0.1:9/nothing\n"
    )
    empty_cache(root)
    verdict = check(root, execute="none")[rules.STORED]
    assert verdict.outcome is Outcome.ERROR
    assert "web" in verdict.reason


# --- links ---------------------------------------------------------------------------------------------------------


def test_a_part_of_a_folder_cannot_be_judged_without_its_listing(root: Path) -> None:
    empty_cache(root)
    verdict = check(root, execute="none")[rules.CHAIN]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "raw/a.txt" in verdict.reason


def test_a_file_inside_of_an_output_has_to_be_the_listed_one(root: Path) -> None:
    content = locked(root)
    out(content, "fit", "raw/a.txt", "deps")["md5"] = "1" * 32
    write_lock(root, content)
    assert check(root, execute="none")[rules.CHAIN].outcome is Outcome.FAILED


def test_data_of_a_dvc_file_is_followed(root: Path) -> None:
    (root / "table.csv").write_text("a,b\n")
    run(root, "dvc", "add", "-q", "table.csv")
    text = (root / "dvc.yaml").read_text().replace("deps: [model.bin,", "deps: [table.csv, model.bin,")
    (root / "dvc.yaml").write_text(text)
    repro(root)
    commit(root, "A table")
    (root / "table.csv").unlink()  # as in CI
    assert outcomes(check(root, execute="all")) == {}
    (root / "table.csv").write_text("a,b,c\n")
    run(root, "dvc", "add", "-q", "table.csv")
    assert outcomes(check(root, execute="none"))[rules.CHAIN] == "FAILED"


# --- running a stage again -----------------------------------------------------------------------------------------


def test_nothing_runs_again_for_a_change_of_documentation(root: Path) -> None:
    (root / "README.md").write_text("# Words\n")
    commit(root, "Words")
    verdict = check(root, base="HEAD~1")[rules.EXECUTION]
    assert verdict.outcome is Outcome.PASSED
    assert verdict.figures["stages_changed"] == 0
    assert "stages_run" not in verdict.figures


def test_one_stage_is_chosen_and_the_commit_decides_which(root: Path) -> None:
    chosen = set()
    for number in range(12):
        commit(root, f"Attempt {number}")
        verdict = check_choice(root)
        assert verdict == check_choice(root)
        chosen.add(verdict)
    assert chosen == {"collect", "fit", "judge"}


def check_choice(root: Path) -> str:
    lock = Lock.parse((root / "dvc.lock").read_text())
    with open_dvc_tree(root) as tree:
        return choose_stages(lock, None, tree.stages(), commit=GitRepository(root).head() or "")[0]


def test_only_stages_that_differ_from_the_base_are_candidates(root: Path) -> None:
    (root / "steps" / "fit.py").write_text(FIT.replace('"rows": 3', '"rows": 5'))
    repro(root)
    commit(root, "Another manifest")
    verdict = check(root, base="HEAD~1", execute="all")[rules.EXECUTION]
    assert verdict.outcome is Outcome.PASSED
    # `judge` reads the manifest, so its entry is another one too.
    assert verdict.figures["stages_run"] == 2
    (root / "params.yaml").write_text(PARAMS.replace("1e-3", "5e-3"))
    repro(root)
    commit(root, "Another rate")
    verdict = check(root, base="HEAD~1", execute="all")[rules.EXECUTION]
    assert (verdict.figures["stages_run"], verdict.figures["stage"]) == (1, "fit")


def test_running_again_leaves_tree_cache_and_git_alone(root: Path) -> None:
    before = snapshot(root)
    assert outcomes(check(root, execute="all")) == {}
    assert snapshot(root) == before


def snapshot(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".dvc/tmp" not in path.as_posix()
    }


def test_a_platform_dependent_stage_that_says_so_is_inconclusive(root: Path) -> None:
    text = (root / "dvc.yaml").read_text()
    meta = "  fit:\n    meta: {gitrain: {platform_dependent: 'BLAS rounds otherwise'}}\n"
    (root / "dvc.yaml").write_text(text.replace("  fit:\n", meta))
    forged_model(root)
    commit(root, "Another machine")
    verdict = check(root, execute="all")[rules.EXECUTION]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "BLAS rounds otherwise" in verdict.reason


def test_a_stage_that_fails_again_is_a_failure_with_its_last_words(root: Path) -> None:
    """Its outputs were made somehow, and its code cannot make them."""
    (root / "steps" / "fit.py").write_text("import sys\nsys.exit('no model to be had')\n")
    content = locked(root)
    with open_dvc_tree(root) as tree:
        out(content, "fit", "steps/fit.py", "deps")["md5"] = tree.md5("steps/fit.py")
    write_lock(root, content)
    commit(root, "Broken")
    verdict = check(root, execute="all")[rules.EXECUTION]
    assert verdict.outcome is Outcome.FAILED
    assert "no model to be had" in verdict.reason


def test_inputs_that_nobody_has_leave_it_open(root: Path) -> None:
    for path in (root / "raw", root / ".dvc" / "cache"):
        shutil.rmtree(path)
    (root / "model.bin").unlink()
    verdicts = check(root, execute="all")
    assert verdicts[rules.EXECUTION].outcome is Outcome.INCONCLUSIVE


def test_without_a_base_it_stays_open(root: Path) -> None:
    verdicts = check(root, base=None)
    assert outcomes(verdicts) == {rules.EXECUTION: "INCONCLUSIVE"}
    assert worst(verdict.outcome for verdict in verdicts.values()).exit_code == 4


def test_a_stale_lock_is_not_run(root: Path) -> None:
    stale_code(root)
    assert "mend" in check(root)[rules.EXECUTION].reason


# --- errors --------------------------------------------------------------------------------------------------------


def test_an_unknown_base(root: Path) -> None:
    with pytest.raises(UsageError, match="no commit 'nowhere'"):
        check(root, base="nowhere")


def test_a_pipeline_that_dvc_cannot_read(root: Path) -> None:
    (root / "dvc.yaml").write_text("stages: {fit: {deps: 3}}\n")
    with pytest.raises(PipelineError, match="DVC cannot read the pipeline"):
        check(root)


def test_no_pipeline(root: Path) -> None:
    (root / "dvc.yaml").unlink()
    with pytest.raises(PipelineError, match="has no dvc"):
        check(root)
