"""Known rows with changes."""

import json

from tests.gitrain.probes.service import KNOWN

from gitrain.probes.variants import variants_of
from gitrain.serving.manifest import KnownAnswers

ROWS = KnownAnswers.model_validate(KNOWN)


def variants(count=300, seed=0):
    return [json.loads(body)["parcels"] for body in variants_of(ROWS, "parcels", count=count, seed=seed)]


def test_they_are_those_of_the_seed():
    assert variants() == variants()
    assert variants() != variants(seed=1)
    assert len(variants(count=7)) == 7


def test_most_fields_are_those_of_known_rows_and_some_are_not():
    rows = [row for body in variants() for row in body]
    known = [row.inputs for row in ROWS.rows]

    assert all(set(row) == set(known[0]) for row in rows)
    fields = [(name, value) for row in rows for name, value in row.items()]
    odd = [1 for name, value in fields if value not in [row[name] for row in known]]
    assert 0.005 < len(odd) / len(fields) < 0.05
    # A size of one row beside the place of another.
    assert {1, 2, 5, 30} == {len(body) for body in variants()}
