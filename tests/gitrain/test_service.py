"""The parcels' service, as `bentoml serve` runs it."""

import contextlib
import fcntl
import http.client
import importlib
import itertools
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from tests.gitrain.served import HOST, filled_store, serving

from gitrain.errors import ProjectError
from gitrain.integrations.prediction_log import read_predictions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(parcels, tmp_path_factory):
    return filled_store(parcels, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def service(parcels, store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    with serving(parcels, "service:Parcels", folder, GITRAIN_ONLINE_STORE=store) as served:
        yield served


@pytest.fixture(scope="module")
def known(parcels):
    return json.loads((parcels / "models/known_answers.json").read_text())


@pytest.fixture(scope="module")
def row(known):
    return known["rows"][-1]["inputs"]


def test_known_rows_get_their_known_answers(service, known, parcels):
    threshold = json.loads((parcels / "models/serving.json").read_text())["threshold"]
    status, answer = service.predict({"parcels": [each["inputs"] for each in known["rows"]]})

    assert status == 200
    assert answer["release"] == "0.0.0+unreleased"
    assert set(answer["features"]["newest"]) == {"deliveries", "departures", "road"}
    for predicted, each in zip(answer["predictions"], known["rows"], strict=True):
        assert predicted["probability"] == pytest.approx(each["score"], abs=known["tolerance"])
        assert set(predicted["missing"]) == {name for name, value in each["features"].items() if value is None}
        assert predicted["decision"] == (predicted["probability"] >= threshold)


def test_the_holdout_is_served_as_it_was_judged_whoever_it_is_asked_with(service, parcels, known, row):
    """A row alone, in a small request among others, and in one large request: the same number each time."""
    judged = pl.read_parquet(parcels / "data/predictions/holdout.parquet").select("parcel", "score")
    table = pl.concat(pl.read_parquet(path) for path in (parcels / "data/validated/parcels").glob("*.parquet"))
    rows = judged.join(table, on="parcel", maintain_order="left").head(400)
    inputs = [json.loads(line) for line in rows.select(list(row)).write_ndjson().splitlines()]

    def ask(part):
        status, answer = service.predict({"parcels": part})
        assert status == 200, answer
        return [predicted["probability"] for predicted in answer["predictions"]]

    with ThreadPoolExecutor(16) as pool:
        alone = [one for found in pool.map(ask, ([each] for each in inputs)) for one in found]
        some = [one for found in pool.map(ask, (inputs[at : at + 20] for at in range(0, 400, 20))) for one in found]
    together = ask(inputs)

    assert len(inputs) == 400
    assert alone == pytest.approx(rows["score"].to_list(), abs=known["tolerance"])
    assert alone == some == together


def test_every_prediction_is_in_the_log(service, row):
    hostile = 'a"b\\n{"x": 1}'
    before = read_predictions(service.predictions).frame.height
    status, answer = service.predict({"parcels": [row, row]}, **{"x-request-id": "logged-1"})
    assert status == 200
    # What is refused was no prediction.
    assert service.predict({"parcels": [row | {"zone": hostile}]})[0] in (200, 422)

    service.wait_until(
        lambda: "logged-1" in read_predictions(service.predictions).frame["request_id"].to_list(), "the record"
    )
    records = read_predictions(service.predictions).frame
    assert records.height >= before + 2
    found = records.filter(pl.col("request_id") == "logged-1")
    assert found["row"].to_list() == [0, 1]
    assert found["probability"].to_list() == [each["probability"] for each in answer["predictions"]]
    assert found["inputs"][0]["depot"] == row["depot"]
    assert found["schema_version"].to_list() == [1, 1]
    assert {path.stat().st_mode & 0o777 for path in service.predictions.glob("predictions-*.jsonl")} == {0o640}


def test_requests_and_predictions_are_counted(service, row):
    before = service.metrics()
    for _ in range(3):
        service.predict({"parcels": [row, row]})
    service.predict(b"{")
    after = service.metrics()

    def grown(name):
        return after[name] - before[name]

    assert grown('gitrain_requests_total{status="200"}') == 3
    assert grown('gitrain_requests_total{status="400"}') == 1
    assert grown("gitrain_request_seconds_count") == 4
    assert sum(grown(name) for name in after if name.startswith("gitrain_predictions_total")) == 6
    assert sum(grown(name) for name in after if name.startswith("gitrain_decisions_total")) == 6
    assert after["gitrain_ready"] == 1
    assert any(name.startswith("gitrain_release_info") and 'format="onnx"' in name for name in after)
    assert any(name.startswith("gitrain_newest_row_timestamp_seconds") for name in after)


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\xff\x00garbage\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n\xff\xfe\xfd\xfc\xfb",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n{}",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n{}",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999\r\n\r\n{",
        b"POST /pre%ff%00dict HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n",
        b"HEAD /predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"HEAD /release HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"DELETE /predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"GET /predict HTTP/9.9\r\n\r\n",
        b"POST /predict HTTP/1.1\r\n" + b"x: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET /predict HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ],
)
def test_whatever_is_sent_the_service_lives_and_logs_no_traceback(service, row, content):
    found = service.raw(content)

    assert found[9:10] not in (b"5",), found[:200]
    assert service.predict({"parcels": [row]})[0] == 200
    assert "Traceback" not in service.log.read_text()


def test_a_body_in_chunks_is_a_body(service, row):
    body = json.dumps({"parcels": [row]}).encode()
    connection = http.client.HTTPConnection(HOST, service.port, timeout=60)
    connection.request("POST", "/predict", iter([body[:5], body[5:]]), encode_chunked=True)
    answer = connection.getresponse()

    assert (answer.status, json.loads(answer.read())["predictions"][0]["stale"]) == (200, [])
    connection.close()


def test_what_is_wrong_is_told_with_its_place(service, row):
    status, answer = service.predict({"parcels": [row, row | {"weight": -1}]}, **{"x-request-id": "wrong"})

    assert status == 422
    assert answer["request_id"] == "wrong"
    assert [problem["field"] for problem in answer["problems"]] == ["parcels[1].weight"]


def test_the_release_says_who_it_is(service, known):
    status, _, body = service.ask("GET", "/release")
    release = json.loads(body)

    assert status == 200
    assert (release["project"], release["version"], release["released"]) == ("parcels", "0.0.0+unreleased", False)
    assert release["served_format"] == "onnx"
    assert release["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"onnxruntime", "polars", "numpy"} <= set(release["libraries"])
    assert set(release["features"]["newest"]) == {"deliveries", "departures", "road"}


def test_the_description_says_what_is_asked_and_answered(service, row):
    status, _, body = service.ask("GET", "/docs.json")
    document = json.loads(body)
    schemas = document["components"]["schemas"]
    # It ships no types.
    validator = importlib.import_module("jsonschema").Draft202012Validator

    assert status == 200
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]["/predict"]["post"]["responses"]) >= {"200", "400", "413", "422", "429", "503"}
    for schema in schemas.values():
        validator.check_schema(schema)
    (example,) = schemas["Request"]["examples"]
    validator(schemas["Request"]).validate(example)
    validator(schemas["Answer"]).validate(service.predict(example)[1])
    validator(schemas["Problems"]).validate(service.predict({"parcels": [row | {"weight": -1}]})[1])


def test_probes_are_bentos(service):
    assert [service.ask("GET", path)[0] for path in ("/livez", "/readyz", "/metrics")] == [200] * 3


def test_paths_that_nobody_has_leave_nothing_behind(service):
    before = service.metrics()
    for number in range(5):
        assert service.ask("GET", f"/wp-admin/{number}")[0] == 404

    assert service.metrics().keys() == before.keys()


def test_a_worker_holds_no_library_of_training(service):
    """What would show in memory: no scikit-learn where ONNX is served, no DVC, no MLflow, and one thread of Polars."""
    (worker,) = service.workers
    process = Path(f"/proc/{worker}")
    maps = (process / "maps").read_text()
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())

    assert "onnxruntime" in maps
    assert not [name for name in ("/sklearn/", "/scipy/", "/mlflow/", "/matplotlib/") if name in maps]
    assert int(status["VmRSS"].split()[0]) / 1024 <= 350
    environment = (process / "environ").read_text().split("\0")
    assert "OMP_WAIT_POLICY=PASSIVE" in environment


@pytest.fixture
def limited(parcels_copy, store, tmp_path):
    """A service that takes on little."""
    (parcels_copy / "service.py").write_text(
        "from gitrain.service import Limits, bento_service\n"
        "Parcels = bento_service(__file__, name='parcels', limits=Limits(waiting_rows=8))\n"
    )
    with serving(parcels_copy, "service:Parcels", tmp_path / "service", GITRAIN_ONLINE_STORE=store) as served:
        yield served


def burst(worker, connections, body):
    """The statuses, sorted, of one request on each connection, all of which are there when the worker wakes up."""
    # Answered once each, so that the worker has taken up all connections.
    for number, connection in enumerate(connections):
        connection.request("POST", "/predict", body, {"x-request-id": f"first-{number}"})
        assert connection.getresponse().read()
    os.kill(worker, signal.SIGSTOP)
    try:
        for number, connection in enumerate(connections):
            connection.request("POST", "/predict", body, {"x-request-id": f"burst-{number}"})
        for connection in connections:
            # Bytes that the other side's kernel does not have yet.
            while struct.unpack("i", fcntl.ioctl(connection.sock, termios.TIOCOUTQ, b"\0" * 4)) != (0,):
                time.sleep(0.001)
    finally:
        os.kill(worker, signal.SIGCONT)
    answers = [connection.getresponse() for connection in connections]
    assert all(json.loads(answer.read())["request_id"].startswith("burst-") for answer in answers)
    assert {answer.getheader("retry-after") for answer in answers if answer.status == 429} == {"1"}
    return sorted(answer.status for answer in answers)


def test_too_much_at_once_is_429_and_a_service_that_is_ended_loses_nothing(limited, row):
    """What is asked while the worker stands still is there when it goes on: eight are answered, the rest is refused.

    Then SIGTERM under load: every request that was answered is in the log, every record of the log was answered.
    """
    (worker,) = limited.workers
    body = json.dumps({"parcels": [row]})
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(contextlib.closing(http.client.HTTPConnection(HOST, limited.port, timeout=60)))
            for _ in range(30)
        ]
        statuses = burst(worker, connections, body)
    assert statuses == [200] * 8 + [429] * 22

    answered: set[str] = set()
    under_load = threading.Event()

    def load(name):
        connection = http.client.HTTPConnection(HOST, limited.port, timeout=60)
        for number in itertools.count():
            request_id = f"load-{name}-{number}"
            try:
                connection.request("POST", "/predict", body, {"x-request-id": request_id})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                return
            if answer.status == 200:
                answered.add(request_id)
            if len(answered) > 30:
                under_load.set()

    threads = [threading.Thread(target=load, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    assert under_load.wait(60)
    code = limited.terminate()
    for thread in threads:
        thread.join(60)

    assert code == 0
    records = read_predictions(limited.predictions)
    in_log = records.frame.filter(pl.col("request_id").str.starts_with("load-"))["request_id"].to_list()
    assert sorted(in_log) == sorted(answered)
    assert records.torn == 0
    assert "Traceback" not in limited.log.read_text()


def test_a_service_with_a_damaged_model_is_not_ready_until_it_is_mended(parcels_copy, store, tmp_path, row):
    model = parcels_copy / "models/serving/model.onnx"
    whole = model.read_bytes()
    # DVC's files are read-only and may be links into its cache.
    model.unlink()
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))

    with serving(
        parcels_copy, "service:Parcels", tmp_path / "service", until="/livez", GITRAIN_ONLINE_STORE=store
    ) as served:
        assert served.ask("GET", "/readyz")[0] == 503
        status, answer = served.predict({"parcels": [row]})
        assert (status, answer["problems"][0]["reason"]) == (503, "the service could not be opened")
        assert served.ask("GET", "/release")[0] == 503
        assert served.ask("GET", "/docs.json")[0] == 200
        assert "has the digest" in served.log.read_text()

        model.write_bytes(whole)
        served.wait_until(lambda: served.answers("/readyz"), "readiness")
        assert served.predict({"parcels": [row]})[0] == 200


def test_a_project_without_time_needs_no_store(tmp_path):
    """The tumours: row features only."""
    root = tmp_path / "tumours"
    shutil.copytree("tests/projects/tumours", root, ignore=shutil.ignore_patterns("__pycache__"))
    stages = ("data ingest", "data validate", "features build", "train", "evaluate", "export")
    program = f"from gitrain.cli import main; sys.exit(max(main(stage.split()) for stage in {stages}))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    known = json.loads((root / "models/known_answers.json").read_text())

    with serving(root, "service:Tumours", tmp_path / "service") as served:
        status, answer = served.predict({"patients": [each["inputs"] for each in known["rows"]]})

        assert (status, answer["features"]) == (200, {"newest": {}})
        scores = [predicted["probability"] for predicted in answer["predictions"]]
        assert scores == pytest.approx([each["score"] for each in known["rows"]], abs=known["tolerance"])


@pytest.mark.parametrize("name", ["", "Parcels", "a b", "9"])
# BentoML's own, when it is imported.
@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The `__get_pydantic_core_schema__` method:DeprecationWarning")
def test_a_name_that_is_none(name):
    from gitrain.service import bento_service

    with pytest.raises(ProjectError, match="name"):
        bento_service(__file__, name=name)


def test_naming_a_service_imports_neither_the_project_nor_polars(parcels):
    program = "import sys, service; print([name for name in ('polars', 'pandera', 'parcels') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=parcels, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
