"""The table of commands. It imports nothing but tables: `gitrain --help` has to answer at once."""

from gitrain.cli.command import Argument, Command
from gitrain.cli.command import flag as _flag
from gitrain.cli.environment_commands import ENVIRONMENT_COMMANDS
from gitrain.cli.monitoring_commands import MONITORING_COMMANDS

__all__ = ["COMMANDS", "GROUPS", "Argument", "Command"]

_JSON = _flag("--json", action="store_true", help="print the result as JSON on stdout")


def _check(group: str, summary: str) -> Command:
    only = _flag("--only", metavar="NAME", action="append", help="run this check alone; may be given again")
    arguments = (
        *(() if group == "all" else (only,)),
        _flag("--base", metavar="REF", help="the commit to compare with, e.g. origin/main"),
        _flag("--out", metavar="FILE", help="write the report as Markdown to this file as well"),
        _JSON,
    )
    runner = "check_all" if group == "all" else "check_group"
    return Command(("check", group), summary, f"gitrain.cli.checks:{runner}", arguments)


def _probe(kind: str, summary: str, *arguments: Argument) -> Command:
    own = (
        _flag("url", metavar="URL", help="the service's address, e.g. http://127.0.0.1:3000"),
        *arguments,
        _flag("--environment", metavar="NAME", help="take the limits from environments/NAME.yaml"),
        _flag("--out", metavar="FILE", help="write the result as JSON to this file as well"),
        _JSON,
    )
    return Command(("probe", kind), summary, f"gitrain.cli.probes:{kind}", own)


_KNOWN = _flag("--known", metavar="FILE", help="rows with known answers (default models/known_answers.json)")
_STORE = _flag(
    "--store", metavar="URL", help="look in this folder or URL alone (default: this machine's, then release_store)"
)
_ONLINE = _flag(
    "--store", metavar="URL", help="the online store (default: GITRAIN_ONLINE_STORE, else .gitrain/online.sqlite)"
)
_EVIDENCE = (
    _flag("--request", metavar="REASON", help="a person asks for it, for this reason"),
    _flag("--monitoring", metavar="FILE", help="what `gitrain monitor run --json` printed"),
)
_VERSION = _flag(
    "version", metavar="VERSION", nargs="?", default="latest", help="e.g. 1.4.0 (default latest: the newest)"
)

GROUPS = {
    "check": "ask of a tree what CI asks of it",
    "data": "ingest batches and judge them by their contracts",
    "deploy": "make an environment of this machine run what its file says",
    "env": "what each environment wants and runs, and how it gets another release",
    "features": "compute features point in time, prove them so, and fill the online store",
    "gate": "judge a model by thresholds, slices and the champion",
    "monitor": "judge what was predicted in service, once its outcomes are known",
    "probe": "ask a running service: known rows, made-up requests, load",
    "release": "what is built once from a commit: build, verify, list, show and publish it",
    "report": "report on a pull request, and judge whether a report may be posted",
    "retrain": "whether to train again, on what evidence, and the pull request that comes of it",
    "run": "record runs in MLflow and read them back",
}

COMMANDS = (
    Command(("data", "ingest"), "read the batches up to data.through from their sources", "gitrain.cli.data:ingest"),
    Command(
        ("data", "validate"),
        "judge all batches, or one new file, by the data contract",
        "gitrain.cli.data:validate",
        (
            _flag("--batch", metavar="PATH", help="judge this parquet or CSV file, and change nothing"),
            _flag("--table", help="the table that the file is a batch of (default: the entity's table)"),
            _flag("--name", metavar="BATCH", help="the batch that the file should be (default: found from its rows)"),
            _JSON,
        ),
    ),
    Command(
        ("data", "advance"),
        "move data.through in params.yaml on by one batch",
        "gitrain.cli.data:advance",
        (_flag("--to", metavar="BATCH", help="to this batch instead"),),
    ),
    Command(("features", "build"), "compute the features of every batch", "gitrain.cli.features:build"),
    Command(
        ("features", "verify"),
        "prove that no feature knows the future: scramble it and compare",
        "gitrain.cli.features:verify",
        (
            _flag("--rows", type=int, default=400, metavar="N", help="rows to recompute by brute force (default 400)"),
            _flag("--seed", type=int, default=0, help="of the sample and of the scrambling (default 0)"),
            _JSON,
        ),
    ),
    Command(
        ("features", "materialize"),
        "fill the online store with the histories that services look back on",
        "gitrain.cli.features:materialize",
        (
            _ONLINE,
            _flag("--since", metavar="BATCH", help="the first batch to hold (default: what the holdout looks back on)"),
            _flag("--through", metavar="BATCH", help="the last batch to hold (default: data.through)"),
            _JSON,
        ),
    ),
    Command(
        ("features", "push"),
        "put rows that became known since into the online store; exit 0 only if all keep the contract",
        "gitrain.cli.features:push",
        (
            _flag("file", metavar="FILE", help="a .parquet, .csv or .jsonl file, or - for JSON lines on stdin"),
            _flag("--table", required=True, help="the table whose rows they are"),
            _ONLINE,
            _JSON,
        ),
    ),
    Command(("train",), "fit the model on the batches before the holdout", "gitrain.cli.model:train", (_JSON,)),
    Command(("evaluate",), "measure the model on the holdout", "gitrain.cli.model:evaluate", (_JSON,)),
    Command(
        ("export",),
        "write the model as it is served: in ONNX where that is proved equal, else as it was judged",
        "gitrain.cli.model:export",
        (_JSON,),
    ),
    Command(
        ("predict",),
        "predict the rows of a file; what is done survives a kill, and the next run goes on from there",
        "gitrain.cli.predict:predict",
        (
            _flag("--input", metavar="FILE", required=True, help="a .parquet, .csv or .jsonl file, or its URL"),
            _flag("--output", metavar="FILE", required=True, help="the .parquet file to write"),
            _flag("--release", metavar="VERSION", help="predict with this release, or `latest` (default: this tree)"),
            _flag("--store", metavar="URL", help="the online store (default: GITRAIN_ONLINE_STORE, else this tree's)"),
            _JSON,
        ),
    ),
    Command(
        ("gate", "check"),
        "judge the model in this tree; exit 0 only if every gate passed",
        "gitrain.cli.gates:check",
        (
            _flag("--base", metavar="REF", help="the commit whose model is the champion, e.g. origin/main"),
            _flag("--out", metavar="FILE", help="write the report as Markdown to this file as well"),
            _JSON,
        ),
    ),
    _check("lock", "dvc.lock belongs to this tree, and what it names is at hand; no data is moved"),
    _check("data", "the data keeps its contract, and batches that the base has are what they were"),
    _check("artifacts", "every output of dvc.yaml keeps its contract, and the next stage can read it"),
    _check("training", "the curve, the model and refits: what a training run has to keep"),
    _check("behaviour", "changes of a row that must move its score, or must not, as the project says"),
    _check("integration", "the stages on a small real sample, and rows served one at a time"),
    Command(
        ("check", "service"),
        "start a release within an environment's limits, and ask it everything",
        "gitrain.cli.checks:check_service",
        (
            _flag("--environment", metavar="NAME", help="the limits of environments/NAME.yaml (default: built in)"),
            _flag("--release", metavar="VERSION", help="which one (default: the environment's, else the newest)"),
            _flag("--tree", action="store_true", help="the service of this tree instead of a release"),
            _flag("--store", metavar="URL", help="where releases are kept, if not where the settings say"),
            _flag("--requests", type=int, metavar="N", help="made-up requests (default: the environment's, else 500)"),
            _flag("--rows", type=int, default=200, metavar="N", help="rows of the holdout to compare (default 200)"),
            _flag("--seed", type=int, default=0, help="of all that is random (default 0)"),
            _flag("--only", metavar="NAME", action="append", help="report this check alone; may be given again"),
            _flag("--out", metavar="FILE", help="write the report as Markdown to this file as well"),
            _JSON,
        ),
    ),
    _check("all", "run every group of checks; the worst verdict decides"),
    Command(("check", "list"), "name every check and what it catches", "gitrain.cli.checks:list_checks", (_JSON,)),
    _probe(
        "smoke",
        "wait until a service is ready, and ask for rows whose answers are known",
        _KNOWN,
        _flag("--release", metavar="VERSION", help="what GET /release has to say (default: the environment's)"),
        _flag("--ready-seconds", type=float, metavar="S", help="how long to wait for readiness (default 30)"),
    ),
    _probe(
        "contract",
        "send made-up and hostile requests: no 5xx, answers as described, bad input refused",
        _flag("--requests", type=int, metavar="N", help="about so many (default: the environment's, else 500)"),
        _flag("--seed", type=int, default=0, help="of the made-up requests (default 0)"),
        _KNOWN,
    ),
    _probe(
        "load",
        "send requests at a stated rate, whatever the service does, and judge what users would see",
        _flag("--rate", type=float, metavar="R", help="requests a second (default: the environment's, else 50)"),
        _flag("--seconds", type=float, metavar="S", help="for so long (default: the environment's, else 10)"),
        _flag("--warm-up", type=float, metavar="S", help="load before that, not counted (default 2)"),
        _flag("--arrivals", choices=("constant", "poisson"), help="evenly spaced, or as from independent users"),
        _flag("--limit", metavar="NAME=NUMBER", action="append", help="a limit, e.g. p99_ms=10; may be given again"),
        _KNOWN,
        _flag("--input", metavar="FILE", help="send these rows instead: JSON lines"),
        _flag("--seed", type=int, default=0, help="of random arrivals (default 0)"),
    ),
    Command(
        ("report", "pr"),
        "report on this tree against a base; exit 0 once there is a report, whatever it says",
        "gitrain.cli.reports:pull_request",
        (
            _flag("--base", metavar="REF", help="the commit to compare with, e.g. origin/main"),
            _flag("--out", metavar="FILE", help="write the report as Markdown to this file as well"),
            _flag("--gates", metavar="FILE", help="what `gate check --json` printed (default: judge the gates now)"),
            _flag("--checks", metavar="FILE", action="append", help="what `check --json` printed; may be repeated"),
            _flag("--runner-minutes", type=float, metavar="N", help="what continuous integration used so far"),
            _JSON,
        ),
    ),
    Command(
        ("report", "check"),
        "judge whether a report from an untrusted job may be posted",
        "gitrain.cli.reports:check",
        (
            _flag("file", metavar="FILE", help="the report: Markdown, or JSON if the name ends in .json"),
            _flag("--out", metavar="FILE", help="write the Markdown that passed to this file"),
            _JSON,
        ),
    ),
    Command(("run", "record"), "write the run that dvc.lock describes to MLflow", "gitrain.cli.runs:record", (_JSON,)),
    Command(("run", "list"), "the recorded runs, newest first", "gitrain.cli.runs:list_runs", (_JSON,)),
    Command(
        ("run", "show"),
        "one recorded run",
        "gitrain.cli.runs:show",
        (_flag("key", metavar="KEY", help="the start of the run's key or of its commit"), _JSON),
    ),
    Command(
        ("release", "build"),
        "judge the commit that is checked out, pack it, and keep it as a release; nothing is trained",
        "gitrain.cli.bundles:build",
        (
            _flag("--base", metavar="REF", help="the commit whose model is the champion (default: the last release's)"),
            _flag(
                "--bump", choices=("patch", "minor", "major"), help="what to count up (default: by what has changed)"
            ),
            _flag("--store", metavar="URL", help="keep it in this folder or URL (default: this machine's store)"),
            _JSON,
        ),
    ),
    Command(
        ("release", "containerize"),
        "build the container image of a release with docker, podman or buildah",
        "gitrain.cli.bundles:containerize",
        (
            _VERSION,
            _flag("--engine", choices=("docker", "podman", "buildah"), help="build with it (default: what works here)"),
            _flag("--base-image", metavar="REF", help="build on this image (default: the one that the bundle names)"),
            _flag("--tag", metavar="NAME", action="append", help="the image's name (default: PROJECT:VERSION)"),
            _flag("--opt", metavar="KEY=VALUE", action="append", help="for the engine; may be given again"),
            _STORE,
            _JSON,
        ),
    ),
    Command(
        ("release", "verify"),
        "compute every digest of a release anew; judge its signature and its tag",
        "gitrain.cli.releases:verify",
        (_VERSION, _STORE, _JSON),
    ),
    Command(
        ("release", "list"),
        "the releases of this machine and of the release store, the newest first",
        "gitrain.cli.releases:list_releases",
        (_STORE, _JSON),
    ),
    Command(
        ("release", "show"),
        "one release: its record, or one of its attachments",
        "gitrain.cli.releases:show",
        (
            _VERSION,
            _flag("--attachment", metavar="NAME", help="print this attachment alone, e.g. sbom.cdx.json"),
            _STORE,
            _JSON,
        ),
    ),
    Command(
        ("release", "unpack"),
        "a release as a folder, whole and verified, that BentoML serves; prints its path",
        "gitrain.cli.releases:unpack",
        (_VERSION, _STORE),
    ),
    Command(
        ("release", "publish"),
        "verify, sign, copy to the release store, tag and register a release; again does nothing new",
        "gitrain.cli.releases:publish",
        (
            _VERSION,
            _flag("--store", metavar="URL", help="publish to this folder or URL (default: release_store)"),
            _flag("--no-tag", action="store_true", help="make no Git tag"),
            _flag("--no-register", action="store_true", help="leave MLflow out"),
            _JSON,
        ),
    ),
    *ENVIRONMENT_COMMANDS,
    *MONITORING_COMMANDS,
    Command(
        ("retrain", "plan"),
        "say whether to train again: new data, monitoring, schedule, age, a request; and what holds it back",
        "gitrain.cli.retraining:plan",
        (*_EVIDENCE, _JSON),
    ),
    Command(
        ("retrain", "open"),
        "train again on a branch if the plan says so: new data judged, pipeline, checks, gates, one pull request",
        "gitrain.cli.retraining:open_",
        (*_EVIDENCE, _JSON),
    ),
    Command(
        ("rehearse",),
        "walk the whole loop on this machine: train, release, promote, canary, refuse, roll back, under load",
        "gitrain.cli.rehearse:rehearse",
        (
            _flag("--steps", action="store_true", help="list the steps and what each proves; do nothing"),
            _flag("--until", metavar="STEP", help="end with this step (default: take all)"),
            _flag("--approve", action="store_true", help="approve for production beforehand; the records say so"),
            _flag("--keep", action="store_true", help="leave the environments running at the end; the log of --year"),
            _flag("--folder", help="the scratch folder (default .demo, emptied first; --year: .gitrain/replay, kept)"),
            _flag("--year", action="store_true", help="live through all batches again instead, day by day"),
            _flag("--bootstrap", type=int, metavar="N", help="with --year: batches of the first model (default 3)"),
            _flag("--through", metavar="BATCH", help="with --year: end with it (default: what the sources have)"),
            _JSON,
        ),
    ),
)
