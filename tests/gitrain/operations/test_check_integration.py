"""The integration checks on stages that take milliseconds, and on a model of two cities' trains with a real history."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
from tests.gitrain.checks.defects import SeededDefect

from gitrain.checks.artifacts import Artifact
from gitrain.checks.integration import (
    CHECKS,
    MISSING_COLUMN,
    OUTPUTS,
    REPEATABLE,
    SERVED_EQUALS_OFFLINE,
    STAGES,
    WRITES_ONLY_OUTPUTS,
    in_order,
    judge_served,
)
from gitrain.data.batches import Months
from gitrain.data.contracts import TableContract
from gitrain.data.tables import Table
from gitrain.documents import parse_yaml
from gitrain.errors import DataError, PipelineError
from gitrain.features.definitions import Entity, FeatureSet, History, RowFeature, WindowFeatures
from gitrain.integrations.files import LocalMemo, LocalWorkspace
from gitrain.integrations.process import LocalShell
from gitrain.integrations.skops import SkopsFormat
from gitrain.metrics import LOG_LOSS, ROC_AUC
from gitrain.operations.build_features import build_features
from gitrain.operations.check_artifacts import check_outputs
from gitrain.operations.check_integration import check_stages, lay_out_sample, size_of_sample
from gitrain.operations.check_served import OneRow, Scorer, check_served
from gitrain.operations.evaluate import evaluate
from gitrain.operations.stage import Stage
from gitrain.operations.train import train
from gitrain.operations.try_stages import files_below
from gitrain.pipeline.params import Params
from gitrain.pipeline.scratch import Scratch
from gitrain.pipeline.stages import StageDefinition, StageOutput
from gitrain.project import Project, Target
from gitrain.training.estimators import logistic_regression
from gitrain.verdicts import Outcome, Verdict
from gitrain.wiring.models import open_served_model


def definition(name: str, cmd: str | list[str], deps: tuple[str, ...], *outs: str) -> StageDefinition:
    return StageDefinition(
        name=name,
        cmd=cmd,
        deps={path: path for path in deps},
        outs=tuple(StageOutput(name=path, path=path) for path in outs),
    )


READ = definition(
    "read", ["mkdir -p data/table", "cp source.parquet data/table/all.parquet"], ("source.parquet",), "data/table"
)
# A parquet file has the names of its columns in plain text.
NEEDS = 'grep -q dest data/table/all.parquet || { echo "gitrain: the column dest is missing" >&2; exit 3; }; '
COUNT = definition(
    "count",
    f"{NEEDS} mkdir -p data/counted; wc -c < data/table/all.parquet > data/counted/size",
    ("data/table",),
    "data/counted",
)
HONEST = (READ, COUNT)
NEW = StageOutput(name="new", path="new")


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    root = tmp_path / "tree"
    root.mkdir()
    made = Scratch(workspace=LocalWorkspace(root), shell=LocalShell(root, tmp_path / "log"))
    made.workspace.write_table("source.parquet", pl.DataFrame({"dest": ["ORD"], "delay": [3]}))
    return made


def verdicts(scratch: Scratch, *stages: StageDefinition) -> dict[str, Verdict]:
    """What `check_integration` does with the stages of a project."""
    clock = iter(range(1000))
    judged = check_stages(
        scratch,
        stages,
        figures={},
        columns=[("data/table", "dest")],
        examine=lambda: check_outputs(declaring(scratch), SkopsFormat, open_served_model, stages),
        progress=lambda line: None,
        clock=lambda: float(next(clock)),
    )
    return {verdict.name: verdict for verdict in judged}


def declaring(scratch: Scratch) -> Stage:
    """The stages' outputs with contracts: a table, and a folder with one short file."""
    artifacts = (
        Artifact(path="data/table", kind="parquet", rows=(1, 1)),
        Artifact(path="data/counted", kind="file", max_bytes=100),
    )
    project = replace(trains(), artifacts=artifacts)
    return replace(stage_of(scratch.workspace.root, project), workspace=scratch.workspace)


def test_honest_stages_pass(scratch: Scratch):
    found = verdicts(scratch, *HONEST)
    assert {verdict.outcome for verdict in found.values()} == {Outcome.PASSED}
    assert found[STAGES].figures == {"stages": 2, "run": 2, "seconds": 2.0}
    # What was taken away for the trial is back.
    assert scratch.workspace.read_table("data/table/all.parquet").columns == ["dest", "delay"]


def counting(command: str, *, before: str = NEEDS) -> tuple[StageDefinition, ...]:
    return (READ, replace(COUNT, cmd=f"{before} mkdir -p data/counted; {command}"))


STAGE_DEFECTS: list[tuple[str, str, tuple[StageDefinition, ...], str]] = [
    (
        STAGES,
        "a stage does not write an output that it declares",
        (READ, replace(COUNT, cmd=NEEDS + "true")),
        "did not write data/counted",
    ),
    (
        STAGES,
        "a column that the next stage needs is renamed",
        (replace(READ, cmd="mkdir -p data/table; sed s/dest/goal/g source.parquet > data/table/all.parquet"), COUNT),
        "'count' failed with exit code 3: the column dest is missing",
    ),
    (STAGES, "a stage is killed half way", counting("kill -9 $$"), "'count' failed with exit code"),
    (
        WRITES_ONLY_OUTPUTS,
        "a stage writes to its input",
        counting("echo more >> data/table/all.parquet; echo 1 > data/counted/size"),
        "'count' writes to data/table/all.parquet",
    ),
    (
        WRITES_ONLY_OUTPUTS,
        "a stage leaves a file that dvc.yaml does not know of",
        counting("echo 1 > data/counted/size; echo 1 > left"),
        "'count' writes to left",
    ),
    (REPEATABLE, "a stage appends to its output", counting("echo 1 >> data/counted/size"), "another data/counted/size"),
    (
        REPEATABLE,
        "a stage gives something else each time",
        counting("head -c 16 /dev/urandom > data/counted/size"),
        "another data/counted/size",
    ),
    (
        REPEATABLE,
        "a stage fails where its output is there already",
        counting("mkdir data/counted/inner && echo 1 > data/counted/inner/size"),
        "failed when it was run a second time",
    ),
    (
        REPEATABLE,
        "a stage is the same only as long as it remembers its first run",
        counting(
            "mkdir -p .gitrain; [ -e .gitrain/memo ] || head -c 16 /dev/urandom > .gitrain/memo; "
            "cp .gitrain/memo data/counted/size"
        ),
        "another data/counted/size",
    ),
    (
        OUTPUTS,
        "an output is larger than its contract allows",
        counting("head -c 101 /dev/zero > data/counted/size"),
        "more than 100",
    ),
    (
        OUTPUTS,
        "a stage declares an output that has no contract",
        (
            READ,
            replace(COUNT, cmd=f"{COUNT.cmd}; echo 1 > new", outs=(*COUNT.outs, StageOutput(name="new", path="new"))),
        ),
        "new has no contract",
    ),
    (
        MISSING_COLUMN,
        "a stage goes on without a column that it needs",
        counting("echo 1 > data/counted/size", before=""),
        "without the column 'dest' in data/table the stage 'count' goes on",
    ),
    (
        MISSING_COLUMN,
        "a stage fails without saying which column it lacks",
        counting(
            "echo 1 > data/counted/size", before="grep -q dest data/table/all.parquet || { echo KeyError; exit 1; };"
        ),
        "fails without naming it: KeyError",
    ),
]


@pytest.mark.parametrize(
    ("check", "defect", "stages", "reason"), STAGE_DEFECTS, ids=[each[1] for each in STAGE_DEFECTS]
)
def test_a_defect_of_a_stage_is_found(
    scratch: Scratch, check: str, defect: str, stages: tuple[StageDefinition, ...], reason: str
):
    found = verdicts(scratch, *stages)
    assert found[check].outcome is Outcome.FAILED
    assert reason in found[check].reason
    # One defect, one red check; what could not be looked at any more is not called good.
    others = {verdict.outcome for name, verdict in found.items() if name != check}
    assert others <= {Outcome.INCONCLUSIVE, Outcome.PASSED}
    stopped = check in {STAGES, WRITES_ONLY_OUTPUTS}
    assert stopped == (found[MISSING_COLUMN].outcome is Outcome.INCONCLUSIVE)


def test_without_any_stage_nothing_is_known(scratch: Scratch):
    found = verdicts(scratch)
    assert {verdict.outcome for verdict in found.values()} == {Outcome.INCONCLUSIVE}


def test_files_are_listed_to_the_bottom(scratch: Scratch):
    for path in ("a/b/c.txt", "a/d.txt", "a/__pycache__/d.pyc", "e.txt"):
        scratch.workspace.write_text(path, path)
    assert set(files_below(scratch.workspace, ".")) == {"a/b/c.txt", "a/d.txt", "e.txt", "source.parquet"}
    assert list(files_below(scratch.workspace, "a/d.txt")) == ["a/d.txt"]
    assert list(files_below(scratch.workspace, "nothing")) == []


def test_stages_run_after_those_that_they_read():
    third = definition("third", "true", ("data/counted/size", "src"), "reports/out.json")
    assert in_order([third, COUNT, READ]) == [READ, COUNT, third]
    assert in_order([READ, COUNT]) == [READ, COUNT]


def test_stages_that_wait_for_each_other_are_an_error():
    with pytest.raises(PipelineError, match="read, count wait for each other"):
        in_order([replace(READ, deps={"data/counted": "data/counted"}), COUNT])


# --- serving ------------------------------------------------------------------------------------------------------

BATCHES = ("2024-01", "2024-02")
PARAMS = """\
schema_version: 1
data: {from: 2024-01, through: 2024-02}
training: {estimator: logistic_regression, validation_units: 5}
estimators: {logistic_regression: {max_iter: 50}}
evaluation: {replicates: 200}
"""


class Nowhere:
    """Validated tables are written by the tests themselves."""

    def fingerprint(self, batch: str | None) -> str:
        raise AssertionError(batch)

    def read(self, batch: str | None) -> pl.DataFrame:
        raise AssertionError(batch)


def trains(*, joined_by: str = "origin") -> Project:
    """Whether a train is late, from its distance and from how trains of the same origin did in the last two days."""
    columns = {
        "train": pa.Column(pl.Int64),
        "leaves": pa.Column(pl.Datetime("us", "UTC")),
        "late": pa.Column(pl.Boolean),
    }
    columns |= {name: pa.Column(pl.String) for name in ("origin", "dest", "day")}
    leaves = pl.col("leaves")
    return Project(
        name="trains",
        tables=(
            Table(
                name="trains",
                source=Nowhere(),
                contract=TableContract(schema=pa.DataFrameSchema({**columns, "distance": pa.Column(pl.Float64)})),
                batch_of=pl.col("day").str.slice(0, 7),
            ),
        ),
        batches=Months(),
        features=FeatureSet(
            entity=Entity(
                table="trains",
                key=("train",),
                known_in_advance=("leaves", "origin", "dest", "day", "distance"),
                decision_time=leaves - timedelta(hours=1),
                unit=("day", pl.col("day")),
            ),
            features=(
                RowFeature(name="distance", expression=pl.col("distance")),
                WindowFeatures(
                    prefix="late",
                    history="arrivals",
                    by={joined_by: "origin"},
                    value=pl.col("late"),
                    aggregation="mean",
                    windows={"2d": timedelta(days=2)},
                ),
            ),
            histories=(
                History(
                    name="arrivals",
                    table="trains",
                    known_at=leaves + timedelta(hours=2),
                    event_time=leaves,
                    max_delay=timedelta(hours=3),
                ),
            ),
        ),
        feature_contract=TableContract(schema=pa.DataFrameSchema({"distance": pa.Column(pl.Float64)})),
        prediction_contract=TableContract(schema=pa.DataFrameSchema({"score": pa.Column(pl.Float64)})),
        target=Target(name="late", label=pl.col("late")),
        estimators={"logistic_regression": logistic_regression},
        metrics=(ROC_AUC, LOG_LOSS),
    )


def month(batch: str) -> pl.DataFrame:
    start, end = Months().bounds(batch)
    rows = (end - start).days * 12
    generator = np.random.default_rng(int(batch[-2:]))
    origin = np.array(["Bonn", "Kiel"])[generator.integers(0, 2, rows)]
    distance = generator.uniform(50, 500, rows)
    risk = 0.1 + 0.5 * (origin == "Kiel") + 0.3 * (distance > 300)
    leaves = [start.replace(tzinfo=UTC) + timedelta(hours=2 * number) for number in range(rows)]
    return pl.DataFrame(
        {
            "train": np.arange(rows) + 10_000 * int(batch[-2:]),
            "leaves": pl.Series(leaves, dtype=pl.Datetime("us", "UTC")),
            "origin": origin,
            "dest": np.where(origin == "Kiel", "Bonn", "Kiel"),
            "day": [time.date().isoformat() for time in leaves],
            "distance": distance,
            "late": generator.random(rows) < risk,
        }
    )


def stage_of(root: Path, project: Project) -> Stage:
    return Stage(
        project=project,
        params=parse_yaml(Params, PARAMS, source="params.yaml"),
        workspace=LocalWorkspace(root),
        memo=LocalMemo(folder=root / ".memo", root=root),
        code=repr(project.features),
        progress=lambda line: None,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree whose pipeline has been run."""
    root = tmp_path_factory.mktemp("trains")
    stage = stage_of(root, trains())
    for batch in BATCHES:
        stage.workspace.write_table(f"data/validated/trains/{batch}.parquet", month(batch))
    build_features(stage)
    train(stage, SkopsFormat())
    evaluate(stage, SkopsFormat())
    return root


@dataclass
class Scaled:
    """Serves with a feature that is scaled on the way to the model."""

    own: OneRow
    model: OneRow = field(init=False)

    def __post_init__(self) -> None:
        self.model = self.own

    def __call__(self, batch: str, row: pl.DataFrame) -> float:
        return self.own(batch, row.with_columns(pl.col("distance") / 1000))


def rebuilt(root: Path, project: Project) -> None:
    """The pipeline's features and predictions with other definitions; model and declared project stay."""
    stage = stage_of(root, project)
    build_features(stage)
    evaluate(stage, SkopsFormat())


def scaled(root: Path) -> Scorer:
    return Scaled(OneRow(stage_of(root, trains()), SkopsFormat()))


def not_a_number(root: Path) -> Scorer:
    return lambda batch, row: float("nan")


def wrong_join(root: Path) -> None:
    rebuilt(root, trains(joined_by="dest"))


def another_model(root: Path) -> None:
    stage = stage_of(root, trains())
    longer = replace(
        stage, params=stage.params.model_copy(update={"estimators": {"logistic_regression": {"C": 0.001}}})
    )
    train(longer, SkopsFormat())


SERVED_DEFECTS: list[tuple[str, Callable[[Path], Scorer | None], str]] = [
    (
        "the serving path scales a feature that training does not (training-serving skew)",
        scaled,
        "its features are those of the pipeline",
    ),
    ("a join of the pipeline takes the history of the wrong origin", wrong_join, "'late_2d' is"),
    ("the model that is served is not the one that was evaluated", another_model, "the model or the way to it differs"),
    ("the served score is not a number", not_a_number, "gets nan"),
]


def served(root: Path, scorer: Scorer | None = None, rows: int = 50) -> Verdict:
    return check_served(stage_of(root, trains()), SkopsFormat(), rows=rows, scorer=scorer)


def test_rows_served_one_at_a_time_get_their_offline_score(finished: Path):
    verdict = served(finished)
    assert verdict.outcome is Outcome.PASSED
    rows = month(BATCHES[-1]).height
    # Spread over the holdout, never more than asked for.
    assert verdict.figures["rows"] == rows // -(-rows // 50) + (rows % -(-rows // 50) > 0)
    assert verdict.figures["differ"] == 0


@pytest.mark.parametrize(("defect", "sow", "reason"), SERVED_DEFECTS, ids=[each[0] for each in SERVED_DEFECTS])
def test_skew_is_found(finished: Path, tmp_path: Path, defect: str, sow: Callable[[Path], Scorer | None], reason: str):
    root = tmp_path / "tree"
    shutil.copytree(finished, root)
    verdict = served(root, sow(root))
    assert verdict.outcome is Outcome.FAILED
    assert reason in verdict.reason
    assert verdict.figures["differ"] != 0


def test_rows_that_are_not_in_the_data_are_an_error(finished: Path, tmp_path: Path):
    root = tmp_path / "tree"
    shutil.copytree(finished, root)
    path = f"data/validated/trains/{BATCHES[-1]}.parquet"
    workspace = LocalWorkspace(root)
    workspace.write_table(path, workspace.read_table(path).slice(1))
    with pytest.raises(DataError, match="not of one run"):
        served(root)


def test_without_predictions_nothing_is_compared():
    assert judge_served([], tolerance=0).outcome is Outcome.INCONCLUSIVE


# --- the sample ---------------------------------------------------------------------------------------------------


def test_the_sample_has_the_fewest_batches_that_the_split_needs(tmp_path: Path):
    days = [datetime(2024, 1, 1, tzinfo=UTC).date() + timedelta(days=number) for number in range(4)]
    batches = ("2024-01", "2024-02", "2024-03", "2024-04")
    workspace = LocalWorkspace(tmp_path)
    for batch in batches:
        rows = {"day": [f"{batch} {day}" for day in days] * 2000, "late": [True, False] * 4000}
        workspace.write_table(f"data/features/{batch}.parquet", pl.DataFrame(rows))
    stage = replace(
        stage_of(tmp_path, trains()),
        params=parse_yaml(Params, PARAMS.replace("through: 2024-02", "through: 2024-04"), source="params.yaml"),
    )

    def first(validation_units: int) -> str:
        training = stage.params.training.model_copy(update={"validation_units": validation_units})
        return size_of_sample(replace(stage, params=stage.params.model_copy(update={"training": training}))).first

    assert first(3) == "2024-03"
    assert first(4) == "2024-02"
    # More than there are: all batches, and training says what it lacks.
    assert first(400) == "2024-01"
    assert size_of_sample(stage).every == 4


def test_a_rare_class_keeps_more_rows(tmp_path: Path):
    workspace = LocalWorkspace(tmp_path)
    for batch in BATCHES:
        rows = pl.DataFrame({"day": [f"{batch}-{number % 28:02}" for number in range(20_000)]})
        workspace.write_table(
            f"data/features/{batch}.parquet", rows.with_columns(late=pl.int_range(pl.len()) % 200 == 0)
        )
    # 100 of a class in a batch, 30 of which stay: every third row, and not every tenth.
    assert size_of_sample(stage_of(tmp_path, trains())).every == 3


def test_what_a_stage_depends_on_is_laid_out(tmp_path: Path, scratch: Scratch):
    tree = LocalWorkspace(tmp_path / "repository")
    for path in ("pyproject.toml", "params.yaml", "src/code/a.py", "requirements.lock", "data/table/x.parquet"):
        tree.write_text(path, f"{path}\n")
    tree.write_text("pyproject.toml", '[tool.gitrain]\nproject = "a.b:C"\ntrusted_types = ["x.Y"]\n')
    tree.write_text("params.yaml", PARAMS)
    stage = replace(stage_of(tree.root, trains()), workspace=tree)
    stages = [replace(READ, deps={"src/code": "src/code", "requirements.lock": "requirements.lock"}), COUNT]
    for batch in BATCHES:
        tree.write_table(f"data/features/{batch}.parquet", pl.DataFrame({"day": ["1", "2"], "late": [True, False]}))
    lay_out_sample(stage, scratch, stages, size_of_sample(stage))
    found = set(files_below(scratch.workspace, "."))
    assert found == {
        "gitrain_sample.py",
        "params.yaml",
        "pyproject.toml",
        "requirements.lock",
        "source.parquet",
        "src/code/a.py",
    }
    assert 'trusted_types = ["x.Y"]' in scratch.workspace.read_text("pyproject.toml")
    with pytest.raises(PipelineError, match=r"lost\.py, which a stage"):
        lay_out_sample(stage, scratch, [replace(READ, deps={"lost.py": "lost.py"})], size_of_sample(stage))


SEEDED_DEFECTS = [
    *(SeededDefect(check=check, defect=defect) for check, defect, _, _ in STAGE_DEFECTS),
    *(SeededDefect(check=SERVED_EQUALS_OFFLINE, defect=defect) for defect, _, _ in SERVED_DEFECTS),
]


def test_each_check_has_a_defect():
    assert {definition.name for definition in CHECKS} == {each.check for each in SEEDED_DEFECTS}
