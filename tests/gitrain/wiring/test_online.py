"""The online store of whole projects: parcels, with a past, and tumours, without one."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.gitrain.online.worlds import ENTITY, ROW_FEATURES
from tests.gitrain.redis_server import redis_server

from gitrain.cli.main import main
from gitrain.errors import IntegrationError, SettingsError
from gitrain.features.definitions import FeatureSet
from gitrain.features.engine import compute_features
from gitrain.integrations.redis import RedisStore
from gitrain.integrations.sqlite_features import SqliteStore
from gitrain.online.columns import columns_of
from gitrain.online.store import Change, StoredText
from gitrain.operations.build_features import partitions_of
from gitrain.training.estimators import FeatureColumns
from gitrain.wiring.online import open_lookup, open_online_store, store_version
from gitrain.wiring.repository import open_stage

SETTINGS = '[tool.gitrain]\nproject = "parcels:PROJECT"\n'


@pytest.fixture
def root(tmp_path):
    (tmp_path / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")
    return tmp_path


def test_addresses(root, monkeypatch):
    assert open_online_store(None, root).address == f"sqlite:///{root}/.gitrain/online.sqlite"
    assert open_online_store("sqlite:///a/b.sqlite", root).address == f"sqlite:///{root}/a/b.sqlite"
    assert open_online_store("sqlite:////a/b.sqlite", root).address == "sqlite:////a/b.sqlite"
    store = open_online_store("redis://me:secret@127.0.0.1:1/0", root)
    assert isinstance(store, RedisStore)
    assert store.address == "redis://127.0.0.1:1/0"
    monkeypatch.setenv("GITRAIN_ONLINE_STORE", "sqlite:///c.sqlite")
    assert open_online_store(None, root).address == f"sqlite:///{root}/c.sqlite"
    assert open_online_store("sqlite:///d.sqlite", root).address == f"sqlite:///{root}/d.sqlite"


@pytest.mark.parametrize("url", ["postgres://me:secret@host/db", "sqlite:///", "online.sqlite", "redis://host:port/0"])
def test_addresses_that_are_none(root, url):
    with pytest.raises(SettingsError) as caught:
        open_online_store(url, root)
    assert "secret" not in str(caught.value)


def test_a_database_of_something_else_is_left_alone(root):

    with sqlite3.connect(root / "other.sqlite") as connection:
        connection.execute("CREATE TABLE mine (id INTEGER)")
    connection.close()
    before = (root / "other.sqlite").read_bytes()
    store = SqliteStore(root / "other.sqlite")

    with pytest.raises(IntegrationError, match="database of something else"):
        store.apply(Change(state=StoredText(version="1", text="{}")), expected=None)
    assert store.state() is None
    assert (root / "other.sqlite").read_bytes() == before


@pytest.fixture(scope="module")
def materialized(parcels, tmp_path_factory) -> Path:
    """A SQLite store with what the holdout of the parcels looks back on."""
    path = tmp_path_factory.mktemp("online") / "online.sqlite"
    assert main(["-C", str(parcels), "features", "materialize", "--store", f"sqlite:///{path}", "--json"]) == 0
    return path


def holdout(root):
    """The rows of the holdout, and their features as the pipeline computes them."""
    stage = open_stage(str(root), lambda line: None)
    partitions, features = partitions_of(stage), stage.project.features
    batch = stage.holdout[-1]
    rows = partitions.entity_rows(batch)
    histories = partitions.histories(partitions.needed(stage.batches, partitions.decisions(batch)))
    columns = FeatureColumns(names=features.names, categorical=features.categorical)
    return features, rows, columns_of(compute_features(features, rows, histories), columns)


def assert_equal(found, wanted, names):
    for name in names:
        if wanted[name].dtype == object:
            assert found[name].tolist() == wanted[name].tolist(), name
        else:
            assert np.array_equal(found[name], wanted[name], equal_nan=True), name


def test_the_holdout_is_served_as_it_was_judged(parcels, materialized):
    features, rows, wanted = holdout(parcels)
    lookup = open_lookup(features, f"sqlite:///{materialized}", parcels)
    at_once = lookup.look_up(rows)
    assert_equal(at_once.columns, wanted, features.names)
    assert set(at_once.stale) == {()}
    few = [lookup.look_up(rows.slice(start, 7)) for start in range(0, rows.height, 7)]
    one_by_one = {name: np.concatenate([part.columns[name] for part in few]) for name in features.names}
    assert_equal(one_by_one, wanted, features.names)
    assert {stale for part in few for stale in part.stale} == {()}
    assert at_once.newest == few[0].newest == lookup.newest()
    lookup.close()


def test_redis_gives_the_same(parcels, materialized, tmp_path):
    features, rows, wanted = holdout(parcels)
    with redis_server(tmp_path) as url:
        assert store_version(url, parcels) is None
        assert main(["-C", str(parcels), "features", "materialize", "--store", url]) == 0
        assert store_version(url, parcels) is not None
        lookup = open_lookup(features, url, parcels)
        assert_equal(lookup.look_up(rows.head(100)).columns, {n: v[:100] for n, v in wanted.items()}, features.names)
        assert_equal(lookup.look_up(rows).columns, wanted, features.names)
        lookup.close()


def test_threads_look_up_while_batches_come_and_go(parcels, tmp_path):
    """Every answer is that of one state or the other."""
    url = f"sqlite:///{tmp_path}/online.sqlite"
    command = ["-C", str(parcels), "features", "materialize", "--store", url]
    stage = open_stage(str(parcels), lambda line: None)
    first, last = stage.batches[-2:]
    assert main([*command, "--since", first]) == 0
    features, rows, wanted = holdout(parcels)
    late = rows.tail(5)
    lookup = open_lookup(features, url, parcels)
    errors: list[BaseException] = []
    done = threading.Event()
    seen = []

    def look() -> None:
        try:
            while not done.is_set():
                found = lookup.look_up(late)
                newest = found.newest["departures"]
                complete = newest is not None and newest.strftime("%Y-%m") >= last
                seen.append(complete)
                if complete:
                    assert_equal(found.columns, {n: v[-5:] for n, v in wanted.items()}, features.names)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for through in (first, last, first, last):
            assert main([*command, "--since", first, "--through", through]) == 0
        deadline = time.monotonic() + 60
        while True not in seen and not errors:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not errors
    lookup.close()


def test_rows_are_pushed_from_the_command_line(parcels, tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/online.sqlite"
    stage = open_stage(str(parcels), lambda line: None)
    before, last = stage.batches[-2:]
    base = ["-C", str(parcels), "features"]
    assert main([*base, "materialize", "--store", url, "--through", before]) == 0
    table = pl.read_parquet(parcels / f"data/validated/parcels/{last}.parquet")
    road = pl.read_parquet(parcels / f"data/validated/road/{last}.parquet")
    road.write_parquet(tmp_path / "road.parquet")
    assert main([*base, "push", "--table", "road", str(tmp_path / "road.parquet"), "--store", url]) == 0
    # In another order, by parts, in the two forms of text.
    later = table.reverse()
    later.head(300).write_csv(tmp_path / "one.csv", datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
    later.slice(300).with_columns(pl.col("sent", "known_at").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_ndjson(
        tmp_path / "two.jsonl"
    )
    capsys.readouterr()
    for name in ("one.csv", "two.jsonl"):
        assert main([*base, "push", "--table", "parcels", str(tmp_path / name), "--store", url, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["changed"]
    features, rows, wanted = holdout(parcels)
    lookup = open_lookup(features, url, parcels)
    # Of the rows of the batch before, the default of an earlier month holds enough.
    assert_equal(lookup.look_up(rows).columns, wanted, features.names)
    lookup.close()


def test_standard_input(parcels, tmp_path):
    url = f"sqlite:///{tmp_path}/online.sqlite"
    assert main(["-C", str(parcels), "features", "materialize", "--store", url]) == 0
    line = json.dumps({"depot": "NORTH", "hour": "2024-06-30T23:00:00Z", "known_at": "2024-07-01T00:00:00Z"})
    bad = json.dumps({"depot": "NORTH", "hour": "2024-06-30T23:00:00Z", "temperature": 99.5})

    command = [sys.executable, "-m", "gitrain", "-C", str(parcels), "features", "push", "--table", "road", "-"]
    for text, code in ((f'{line[:-1]}, "temperature": 1.5}}\n', 0), (bad, 1)):
        done = subprocess.run(
            [*command, "--store", url], input=text, capture_output=True, text=True, env=os.environ, check=False
        )
        assert done.returncode == code, done.stderr


def test_a_project_without_a_past_needs_no_store(tmp_path):

    features = FeatureSet(entity=ENTITY, features=ROW_FEATURES, categorical=("team", "kind"))
    lookup = open_lookup(features, "whatever://there", tmp_path)
    assert lookup.newest() == {}
    lookup.close()
