"""Gates on real parts: models trained and evaluated by the stages, a Git repository, files in DVC's cache."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
import yaml

from gitrain.data.batches import Months
from gitrain.data.contracts import TableContract
from gitrain.data.tables import Table
from gitrain.documents import parse_yaml
from gitrain.errors import DataError, PipelineError, SettingsError, UsageError
from gitrain.features.definitions import Entity, FeatureSet, RowFeature
from gitrain.gates.report import GateReport
from gitrain.integrations.dvc import DvcCache
from gitrain.integrations.files import LocalMemo, LocalWorkspace
from gitrain.integrations.git import GitRepository
from gitrain.integrations.skops import SkopsFormat
from gitrain.metrics import EXPECTED_CALIBRATION_ERROR, LOG_LOSS, ROC_AUC
from gitrain.operations.check_gates import check_gates
from gitrain.operations.evaluate import evaluate
from gitrain.operations.stage import Stage
from gitrain.operations.train import train
from gitrain.pipeline.params import Params
from gitrain.project import Project, Slice, Target
from gitrain.training.estimators import logistic_regression
from gitrain.verdicts import Outcome

TODAY = date(2026, 3, 1)
ROWS_A_DAY = 50
NUMBERS = ("a", "b", "leak")
# In this month the signal means the opposite: whoever trains on it alone learns what is wrong everywhere else.
FREAK = "2024-03"
GATES: dict[str, Any] = {
    "thresholds": {"roc_auc": {"min": 0.6}, "expected_calibration_error": {"max": 0.12}},
    "leak_alarm": {"roc_auc": {"max": 0.9}},
    "slices": {"town": {"metric": "roc_auc", "min": 0.55}},
    "champion": {"improve": "log_loss", "keep": {"roc_auc": 0.01}},
}


class Nowhere:
    """Features are written by the tests themselves: nothing is ever read from a source."""

    def fingerprint(self, batch: str | None) -> str:
        raise AssertionError(batch)

    def read(self, batch: str | None) -> pl.DataFrame:
        raise AssertionError(batch)


def make_project(*features: str) -> Project:
    known = ("ride", "day", "town", *NUMBERS)
    columns = {name: pa.Column(pl.Float64) for name in NUMBERS}
    columns |= {"ride": pa.Column(pl.Int64), "late": pa.Column(pl.Boolean, nullable=True)}
    columns |= {name: pa.Column(pl.String) for name in ("day", "town")}
    return Project(
        name="rides",
        tables=(
            Table(
                name="rides",
                source=Nowhere(),
                contract=TableContract(schema=pa.DataFrameSchema(columns)),
                batch_of=pl.col("day").str.slice(0, 7),
            ),
        ),
        batches=Months(),
        features=FeatureSet(
            entity=Entity(table="rides", key=("ride",), known_in_advance=known, unit=("day", pl.col("day"))),
            features=tuple(RowFeature(name=name, expression=pl.col(name)) for name in features),
            categorical=tuple(name for name in features if name == "town"),
        ),
        feature_contract=TableContract(schema=pa.DataFrameSchema({"ride": pa.Column(pl.Int64)})),
        prediction_contract=TableContract(schema=pa.DataFrameSchema({"score": pa.Column(pl.Float64)})),
        target=Target(name="late", label=pl.col("late")),
        estimators={"logistic_regression": logistic_regression},
        metrics=(ROC_AUC, EXPECTED_CALIBRATION_ERROR),
        reported_metrics=(LOG_LOSS,),
        slices=(Slice(name="town", by=pl.col("town"), min_rows=100),),
    )


def month(batch: str) -> pl.DataFrame:
    generator = np.random.default_rng(int(batch.replace("-", "")))
    start, end = Months().bounds(batch)
    days = [(start + timedelta(days=day)).date().isoformat() for day in range((end - start).days)]
    day = np.repeat(days, ROWS_A_DAY)
    a, b = generator.normal(size=(2, day.size))
    weight = -1.2 if batch == FREAK else 1.2
    late = generator.random(day.size) < 1 / (1 + np.exp(1 - weight * a - 1.2 * b))
    return pl.DataFrame(
        {
            "ride": np.arange(day.size) + int(batch.replace("-", "")) * 100_000,
            "day": day,
            "town": np.array(["north", "south"])[generator.integers(0, 2, day.size)],
            "a": a,
            "b": b,
            "leak": late + 0.2 * generator.normal(size=day.size),
            "late": [None if row % 97 == 0 else bool(value) for row, value in enumerate(late)],
        }
    )


@dataclass(frozen=True)
class Tree:
    """A repository with a project in it."""

    root: Path
    project: Project

    @property
    def stage(self) -> Stage:
        return Stage(
            project=self.project,
            params=parse_yaml(Params, (self.root / "params.yaml").read_text(), source="params.yaml"),
            workspace=LocalWorkspace(self.root),
            memo=LocalMemo(folder=self.root / ".memo", root=self.root),
            code="code",
            progress=lambda line: None,
        )

    def change_params(self, **sections: Any) -> None:
        content = yaml.safe_load((self.root / "params.yaml").read_text())
        for section, changes in sections.items():
            content.setdefault(section, {}).update(changes)
        (self.root / "params.yaml").write_text(yaml.safe_dump(content))

    def run(self, *, through: str, window: str | int = "expanding", project: Project | None = None) -> "Tree":
        """What `dvc repro` does: features, model, evaluation, lock, cache."""
        tree = Tree(self.root, project or self.project)
        tree.change_params(data={"from": "2024-01", "through": through}, training={"window": window})
        stage = tree.stage
        columns = list(dict.fromkeys(["ride", "day", *tree.project.features.names, "late"]))
        for batch in stage.batches:
            stage.workspace.write_table(f"data/features/{batch}.parquet", month(batch).select(columns))
        train(stage, SkopsFormat())
        evaluate(stage, SkopsFormat())
        tree.lock()
        return tree

    def lock(self) -> Path:
        content = (self.root / "models/model.skops").read_bytes()
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        cached = self.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_bytes(content)
        outs = [{"path": "models/model.skops", "hash": "md5", "md5": md5, "size": len(content)}]
        lock = {"schema": "2.0", "stages": {"train": {"cmd": "gitrain train", "outs": outs}}}
        (self.root / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
        return cached

    def commit(self, message: str = "A model") -> str:
        for arguments in (("add", "--all"), ("commit", "-q", "--allow-empty", "-m", message)):
            subprocess.run(["git", *arguments], cwd=self.root, check=True, capture_output=True)
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=self.root, check=True, capture_output=True, text=True)
        return found.stdout.strip()

    def check(self, base: str | None = "main") -> GateReport:
        return check_gates(
            self.stage, SkopsFormat(), GitRepository(self.root), DvcCache(self.root), base=base, today=TODAY
        )

    @contextmanager
    def edit(self, path: str) -> Iterator[dict[str, Any]]:
        content = json.loads((self.root / path).read_text())
        yield content
        (self.root / path).write_text(json.dumps(content))


def new_tree(root: Path, *features: str) -> Tree:
    root.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=root, check=True)
    (root / ".dvc").mkdir()
    (root / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (root / ".gitignore").write_text("/data/\n/models/model.skops\n/.memo/\n/.dvc/cache/\n/.dvc/tmp/\n")
    params = {
        "schema_version": 1,
        "data": {"from": "2024-01", "through": "2024-02"},
        "training": {"estimator": "logistic_regression", "validation_units": 7},
        "estimators": {"logistic_regression": {}},
        "evaluation": {"replicates": 300},
        "gates": GATES,
    }
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    return Tree(root, make_project(*features))


@pytest.fixture(scope="session")
def champions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tree]:
    """Repositories whose `main` has a model, made once; tests work on copies."""
    folder = tmp_path_factory.mktemp("champions")
    found = {}
    for name, through, features in (
        ("a to March", "2024-03", "a"),
        ("a to April", "2024-04", "a"),
        ("ab", "2024-04", "ab"),
    ):
        tree = new_tree(folder / name.replace(" ", "-"), *features, "town").run(through=through)
        tree.commit()
        found[name] = tree
    return found


@pytest.fixture(scope="session")
def improvement(champions: dict[str, Tree], tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A repository whose working tree has a better model than its `main`; tests copy from it."""
    root = tmp_path_factory.mktemp("improvement") / "repository"
    shutil.copytree(champions["a to March"].root, root)
    return Tree(root, champions["a to March"].project).run(through="2024-04", project=make_project("a", "b", "town"))


@pytest.fixture
def champion(champions, tmp_path):
    def copy(name: str) -> Tree:
        root = tmp_path / "repository"
        shutil.copytree(champions[name].root, root)
        return Tree(root, champions[name].project)

    return copy


def verdict(report: GateReport, name: str = "champion"):
    (found,) = [verdict for verdict in report.verdicts if verdict.name == name]
    return found


def outcomes(report: GateReport) -> dict[str, str]:
    return {verdict.name: verdict.outcome.value for verdict in report.verdicts}


def test_an_honest_improvement_passes_every_gate(improvement):
    tree = improvement
    report = tree.check()
    assert outcomes(report) == {
        "threshold:roc_auc": "PASSED",
        "threshold:expected_calibration_error": "PASSED",
        "slice:town": "PASSED",
        "leak-alarm:roc_auc": "PASSED",
        "champion": "PASSED",
    }
    assert report.outcome.exit_code == 0
    assert report.base == GitRepository(tree.root).head()
    assert report.champion_digest not in (None, report.model_digest)
    assert (report.batches, report.units, report.unit) == (("2024-04",), 30, "day")
    assert report.changes == ()
    figures = verdict(report).figures
    assert figures["high"] < 0
    assert figures["challenger"] < figures["champion"]
    assert figures["roc_auc.low"] > 0
    # The same again gives the same file.
    assert tree.check().to_json() == report.to_json()


def test_the_threshold_figures_are_those_of_the_evaluation(champion):
    tree = champion("a to April")
    report = tree.check()
    measured = json.loads((tree.root / "reports/evaluation.json").read_text())["metrics"]["roc_auc"]
    figures = verdict(report, "threshold:roc_auc").figures
    assert {key: figures[key] for key in ("value", "low", "high")} == {
        key: measured[key] for key in ("value", "low", "high")
    }


def test_a_model_of_a_short_window_over_a_freak_month_is_refused(champion):
    tree = champion("a to March").run(through="2024-04", window=1)
    # So that the champion alone refuses it.
    tree.change_params(gates={"thresholds": {"roc_auc": {"min": 0.51}, "expected_calibration_error": {"max": 0.24}}})
    report = tree.check()
    assert report.outcome is Outcome.FAILED
    assert report.outcome.exit_code == 1
    assert verdict(report).outcome is Outcome.FAILED
    assert "worse" in verdict(report).reason


def test_a_leak_fires_the_alarm_however_much_better_it_looks(champion):
    tree = champion("a to March").run(through="2024-04", project=make_project("a", "leak", "town"))
    report = tree.check()
    assert verdict(report).outcome is Outcome.PASSED
    assert verdict(report, "leak-alarm:roc_auc").outcome is Outcome.FAILED
    assert report.outcome.exit_code == 1


def test_the_same_model_is_the_champions_own(champion):
    report = champion("a to April").check()
    assert verdict(report).outcome is Outcome.PASSED
    assert verdict(report).reason == "the model is the champion's own"
    assert report.champion_digest == report.model_digest


class TestWithoutAChampion:
    def check(self, tree: Tree, *said: str, base: str | None = "main") -> None:
        report = tree.check(base)
        assert verdict(report).outcome is Outcome.INCONCLUSIVE
        assert report.outcome.exit_code == 4
        for part in said:
            assert part in verdict(report).reason

    @pytest.fixture(autouse=True)
    def _use_improvement(self, improvement: Tree) -> None:
        self.improvement = improvement

    def challenger(self, tree: Tree) -> Tree:
        """The improved model in the working tree, whatever `main` has come to hold."""
        ignored = shutil.ignore_patterns(".git", ".dvc")
        shutil.copytree(self.improvement.root, tree.root, ignore=ignored, dirs_exist_ok=True)
        return Tree(tree.root, self.improvement.project)

    def test_a_first_deployment_waits_for_a_waiver(self, tmp_path):
        tree = new_tree(tmp_path / "repository", "a", "town")
        tree.commit("no model yet")
        tree = tree.run(through="2024-04")
        self.check(tree, "no champion yet", "has no dvc.lock")
        waiver = {"gate": "champion", "reason": "the first deployment", "expires": TODAY}
        tree.change_params(gates={"waivers": [waiver]})
        report = tree.check()
        assert report.outcome is Outcome.PASSED
        assert verdict(report).waived == "the first deployment (until 2026-03-01; added by this change)"
        assert "INCONCLUSIVE, and waived: no champion yet" in verdict(report).reason
        tree.change_params(gates={"waivers": [waiver | {"expires": TODAY - timedelta(days=1)}]})
        self.check(tree, "no champion yet", "expired on 2026-02-28")

    def test_a_lock_without_a_model(self, champion):
        tree = champion("a to March")
        (tree.root / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
        tree.commit()
        self.check(self.challenger(tree), "no champion yet", "has no models/model.skops")

    def test_no_base_was_named(self, champion):
        self.check(self.challenger(champion("a to March")), "--base", base=None)

    def test_neither_cache_nor_remote_has_it(self, champion):
        tree = champion("a to March")
        cached = tree.lock()
        tree = self.challenger(tree)
        cached.unlink()
        self.check(tree, "neither the DVC cache nor a remote", cached.name)

    def test_the_cache_holds_something_else_under_its_hash(self, champion):
        tree = champion("a to March")
        cached = tree.lock()
        cached.write_bytes(b"altered")
        self.check(self.challenger(tree), "altered or damaged")

    def test_the_lock_of_the_base_is_broken(self, champion):
        tree = champion("a to March")
        lock = (tree.root / "dvc.lock").read_text()
        (tree.root / "dvc.lock").write_text(f"<<<<<<< ours\n{lock}=======\n>>>>>>> theirs\n")
        tree.commit()
        self.check(self.challenger(tree), "conflict markers")

    def test_it_has_no_manifest(self, champion):
        tree = champion("a to March")
        (tree.root / "models/model.json").unlink()
        tree.commit()
        self.check(self.challenger(tree), "no manifest")

    def test_its_manifest_is_of_a_later_format(self, champion):
        tree = champion("a to March")
        with tree.edit("models/model.json") as manifest:
            manifest["schema_version"] = 2
        tree.commit()
        self.check(self.challenger(tree), "schema_version")

    def test_its_manifest_describes_another_model(self, champion):
        tree = champion("a to March")
        with tree.edit("models/model.json") as manifest:
            manifest["model_digest"] = "sha256:" + "0" * 64
        tree.commit()
        self.check(self.challenger(tree), "describes another model")

    def test_this_tree_does_not_compute_its_features(self, champion):
        tree = champion("ab").run(through="2024-04", project=make_project("a", "town"))
        self.check(tree, "features that this tree does not compute: b")

    def test_its_feature_is_a_category_now(self, champion):
        tree = champion("a to March")
        with tree.edit("models/model.json") as manifest:
            manifest["categorical"] = []
        tree.commit()
        self.check(self.challenger(tree), "no longer categories, or no longer numbers: town")

    def test_it_has_seen_the_holdout(self, champion):
        tree = champion("a to March")
        with tree.edit("models/model.json") as manifest:
            manifest["training_batches"].append("2024-04")
        tree.commit()
        self.check(self.challenger(tree), "the champion was trained on 2024-04")

    def test_it_predicts_something_else(self, champion):
        tree = champion("a to March")
        with tree.edit("models/model.json") as manifest:
            manifest["target"] = "cancelled"
        tree.commit()
        self.check(self.challenger(tree), "predicts 'cancelled'", "'late'")

    def test_it_cannot_be_loaded(self, champion):
        tree = champion("a to March")
        (tree.root / "models/model.skops").write_bytes(b"not a model")
        with tree.edit("models/model.json") as manifest:
            manifest["model_digest"] = f"sha256:{hashlib.sha256(b'not a model').hexdigest()}"
        tree.lock()
        tree.commit()
        self.check(self.challenger(tree), "the champion cannot be scored")

    def test_its_features_have_changed_their_meaning(self, champion, monkeypatch):
        original = month
        monkeypatch.setattr(f"{__name__}.month", lambda batch: original(batch).with_columns(pl.col("a") * 2 + 1))
        tree = champion("a to April").run(through="2024-04", project=make_project("a", "b", "town"))
        self.check(tree, "have changed their meaning")

    def test_the_holdout_has_few_units(self, champion):
        tree = self.challenger(champion("a to March"))
        tree.change_params(gates={"minimum_units": 31})
        report = tree.check()
        assert set(outcomes(report).values()) == {"INCONCLUSIVE"}


class TestWhatDoesNotBelongTogether:
    def refused(self, tree: Tree, said: str) -> None:
        with pytest.raises(PipelineError, match="dvc repro") as raised:
            tree.check()
        assert said in str(raised.value)

    def test_another_model(self, champion):
        tree = champion("a to April")
        (tree.root / "models/model.skops").write_bytes(b"another")
        self.refused(tree, "models/model.json describes the model")

    def test_an_evaluation_of_another_model(self, champion):
        tree = champion("a to April")
        with tree.edit("reports/evaluation.json") as evaluation:
            evaluation["model_digest"] = "sha256:" + "0" * 64
        self.refused(tree, "reports/evaluation.json is about the model")

    def test_altered_predictions(self, champion):
        tree = champion("a to April")
        self.alter(tree, score=pl.col("label").cast(pl.Float64) * 0.3 + 0.3)
        self.refused(tree, "is about predictions with the digest")

    def alter(self, tree: Tree, **columns: pl.Expr) -> str:
        path = "data/predictions/holdout.parquet"
        workspace = tree.stage.workspace
        workspace.write_table(path, workspace.read_table(path).with_columns(**columns))
        return workspace.digest(path)

    @pytest.mark.parametrize(
        ("column", "expression", "said"),
        [
            ("score", pl.col("label").cast(pl.Float64) * 0.3 + 0.3, "are not those that models/model.skops gives"),
            ("score", pl.lit(float("nan")), "are not those that models/model.skops gives"),
            ("label", pl.col("score") > 0.5, "differ in the column 'label'"),
            ("slice_town", pl.lit("north"), "differ in the column 'slice_town'"),
        ],
    )
    def test_altered_predictions_with_a_digest_to_match(self, champion, column, expression, said):
        tree = champion("a to April")
        digest = self.alter(tree, **{column: expression})
        with tree.edit("reports/evaluation.json") as evaluation:
            evaluation["predictions_digest"] = digest
        self.refused(tree, said)

    def test_better_numbers_in_the_metrics_file_change_nothing(self, champion):
        tree = champion("a to April")
        before = tree.check()
        with tree.edit("reports/metrics.json") as metrics:
            metrics["roc_auc"] = 0.99
        with tree.edit("reports/evaluation.json") as evaluation:
            evaluation["metrics"]["roc_auc"]["value"] = 0.99
        assert tree.check() == before

    def test_parameters_that_have_moved_on(self, champion):
        tree = champion("a to April")
        tree.change_params(data={"from": "2024-02"})
        self.refused(tree, "was trained on 2024-01, 2024-02, 2024-03, and the tree has 2024-02, 2024-03")
        tree.change_params(data={"from": "2024-01", "through": "2024-05"})
        self.refused(tree, "is about the batches 2024-04, and the tree has 2024-05")

    def test_features_that_were_computed_anew(self, champion):
        tree = champion("a to April")
        workspace = tree.stage.workspace
        path = "data/features/2024-04.parquet"
        workspace.write_table(path, workspace.read_table(path).with_columns(a=-pl.col("a")))
        self.refused(tree, "are not those that models/model.skops gives")
        workspace.write_table(path, workspace.read_table(path).head(10))
        self.refused(tree, "the features give 9 rows")

    def test_features_that_are_missing(self, champion):
        tree = champion("a to April")
        (tree.root / "data/features/2024-04.parquet").unlink()
        with pytest.raises(DataError, match="dvc repro"):
            tree.check()


class TestRules:
    def test_they_are_judged_before_anything_is_read(self, champion):
        tree = champion("a to April")
        shutil.rmtree(tree.root / "models")
        tree.change_params(gates={"thresholds": {"roc_auc": {"min": 0.6}}})
        with pytest.raises(SettingsError, match="expected_calibration_error"):
            tree.check()

    def test_an_alarm_beyond_a_perfect_model_is_found_by_the_labels(self, champion):
        tree = champion("a to April")
        tree.change_params(gates={"leak_alarm": {"roc_auc": {"max": 1.0}}})
        with pytest.raises(SettingsError, match="can never fire"):
            tree.check()

    def test_a_waived_gate_is_shown_and_not_judged(self, champion):
        tree = champion("a to April")
        waiver = {"gate": "slice:town", "reason": "towns are being renamed", "expires": TODAY}
        tree.change_params(gates={"slices": {}, "waivers": [waiver]})
        report = tree.check()
        assert report.outcome is Outcome.PASSED
        assert verdict(report, "slice:town").waived is not None
        assert "not judged, and waived: gates.slices has no bound" in verdict(report, "slice:town").reason

    def test_a_failed_gate_can_be_waived_and_the_leak_alarm_cannot(self, champion):
        tree = champion("a to April")
        tree.change_params(gates={"thresholds": GATES["thresholds"] | {"roc_auc": {"min": 0.89}}})
        assert tree.check().outcome is Outcome.FAILED
        waiver = {"gate": "threshold:roc_auc", "reason": "known and agreed on", "expires": TODAY}
        tree.change_params(gates={"waivers": [waiver]})
        assert tree.check().outcome is Outcome.PASSED
        tree.change_params(gates={"waivers": [waiver | {"gate": "leak-alarm:roc_auc"}]})
        with pytest.raises(SettingsError, match="cannot be waived"):
            tree.check()

    def test_a_loosened_rule_is_reported(self, champion):
        tree = champion("a to April")
        tree.change_params(gates={"thresholds": GATES["thresholds"] | {"roc_auc": {"min": 0.55}}})
        assert tree.check().changes == ("gates.thresholds.roc_auc.min: 0.6 → 0.55",)
        assert tree.check(None).changes == ()

    def test_rules_of_the_base_that_cannot_be_read_are_reported(self, champion):
        tree = champion("a to April")
        good = (tree.root / "params.yaml").read_text()
        (tree.root / "params.yaml").write_text("gates: [")
        tree.commit()
        (tree.root / "params.yaml").write_text(good)
        (said,) = tree.check().changes
        assert "the rules of the base cannot be read" in said

    def test_a_base_that_is_no_commit_is_a_wrong_call(self, champion):
        with pytest.raises(UsageError, match="no-such-branch"):
            champion("a to April").check("no-such-branch")
