"""Where the stages keep their files, relative to the repository's root: part of the public API."""

__all__ = [
    "CALIBRATION",
    "DURATIONS",
    "EVALUATION",
    "FEATURES",
    "HOLDOUT_PREDICTIONS",
    "IDENTITY",
    "KNOWN_ANSWERS",
    "LOCK",
    "MEMO",
    "METRICS",
    "MODEL",
    "MODEL_MANIFEST",
    "ONLINE_STORE",
    "PARAMS",
    "PRECISION_RECALL",
    "PREDICTION_LOG",
    "QUARANTINE",
    "RAW",
    "RELEASES",
    "REQUIREMENTS",
    "RETRAINING",
    "ROC",
    "SERVED",
    "SERVING_MANIFEST",
    "TRAINING_CURVE",
    "VALIDATED",
    "VALIDATION_MARKDOWN",
    "VALIDATION_REPORT",
    "WHOLE",
    "partition",
]

PARAMS = "params.yaml"
LOCK = "dvc.lock"
REQUIREMENTS = "requirements.lock"

RAW = "data/raw"
VALIDATED = "data/validated"
QUARANTINE = "data/quarantine"
FEATURES = "data/features"
HOLDOUT_PREDICTIONS = "data/predictions/holdout.parquet"

MODEL = "models/model.skops"
MODEL_MANIFEST = "models/model.json"

# What is served: a folder with one file, model.onnx or model.skops.
SERVED = "models/serving"
SERVING_MANIFEST = "models/serving.json"
KNOWN_ANSWERS = "models/known_answers.json"
# At the root of a bundle only: who the release is.
IDENTITY = "release.json"

VALIDATION_REPORT = "reports/validation.json"
VALIDATION_MARKDOWN = "reports/validation.md"
METRICS = "reports/metrics.json"
EVALUATION = "reports/evaluation.json"
TRAINING_CURVE = "reports/training_curve.csv"
CALIBRATION = "reports/calibration.csv"
ROC = "reports/roc.csv"
PRECISION_RECALL = "reports/precision_recall.csv"

# Not outputs: what this machine keeps to itself.
MEMO = ".gitrain/memo"
DURATIONS = ".gitrain/durations.json"
ONLINE_STORE = ".gitrain/online.sqlite"
PREDICTION_LOG = ".gitrain/predictions"
RELEASES = ".gitrain/releases"
# Clones in which candidates are trained, and the lock that lets one at a time.
RETRAINING = ".gitrain/retraining"

WHOLE = "all"


def partition(folder: str, table: str | None, batch: str | None) -> str:
    """The parquet file of one batch: ``folder/table/batch.parquet``; a table without batches is ``all.parquet``."""
    parts = [folder, *([table] if table else []), f"{batch or WHOLE}.parquet"]
    return "/".join(parts)
