"""Edits of environments' files: two values change, and not one byte beside them."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitrain.environments.edit import has_values, with_values
from gitrain.errors import SettingsError

DIGEST = f"sha256:{'a' * 64}"
VALUES = {"release": "1.4.0", "digest": DIGEST}
FILES = Path(__file__).parents[3] / "environments"

comments = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)
spaces = st.integers(0, 3).map(lambda number: " " * number)
scalars = st.sampled_from(["null", "~", "", "0.9.0", '"0.9.0"', "'0.9.0'"])
digests = st.sampled_from(["null", "", f"sha256:{'b' * 64}", f"'sha256:{'b' * 64}'"])


@pytest.mark.repository
@pytest.mark.parametrize("name", ["preprod", "production"])
def test_the_files_of_this_repository_change_in_two_values(name):
    text = (FILES / f"{name}.yaml").read_text()
    edited = with_values(text, name, VALUES)
    assert edited == text.replace("release: null", "release: 1.4.0").replace("digest: null", f"digest: {DIGEST}")


@given(
    order=st.permutations(["schema_version: 1", "release", "digest", "runtime: {replicas: 2}", "suspend:   false"]),
    noted=st.lists(comments, min_size=5, max_size=5),
    gap=spaces,
    release=scalars,
    digest=digests,
    ending=st.sampled_from(["\n", "", "\r\n", "\n\n# the end\n"]),
    marked=st.booleans(),
)
def test_nothing_else_changes(order, noted, gap, release, digest, ending, marked):
    lines = []
    for key, note in zip(order, noted, strict=True):
        value = {"release": release, "digest": digest}.get(key)
        line = key if value is None else f"{key}:{gap if value else ''}{' ' if value and not gap else ''}{value}"
        lines.append(f"{line}{gap or ' '}# {note}")
    newline = "\r\n" if ending == "\r\n" else "\n"
    text = ("---\n" if marked and newline == "\n" else "") + newline.join(lines) + ending
    # A file with one of the two alone says something impossible, and is none that a promotion meets.
    edited = with_values(text, "preprod", VALUES)
    assert has_values(edited, "preprod", VALUES)
    rest = [line for line in text.splitlines() if not line.startswith(("release:", "digest:"))]
    assert [line for line in edited.splitlines() if not line.startswith(("release:", "digest:"))] == rest
    for key in ("release", "digest"):
        (old,) = (line for line in text.splitlines() if line.startswith(f"{key}:"))
        (new,) = (line for line in edited.splitlines() if line.startswith(f"{key}:"))
        assert new.partition("#")[2] == old.partition("#")[2]


def test_quotes_are_kept_and_the_same_again_changes_nothing():
    text = f"schema_version: 1\nrelease: '1.0.0'\ndigest: \"{DIGEST}\"\n"
    edited = with_values(text, "preprod", VALUES)
    assert edited == f"schema_version: 1\nrelease: '1.4.0'\ndigest: \"{DIGEST}\"\n"
    assert with_values(edited, "preprod", VALUES) == edited


def test_a_key_that_is_not_there_is_added():
    assert with_values("schema_version: 1", "preprod", {"suspend": True}) == "schema_version: 1\nsuspend: true\n"


@pytest.mark.parametrize(
    "text",
    [
        # The value is shared, is no scalar, or the whole is written in a way that has no place for it.
        f"schema_version: 1\nrelease: 1.0.0\nfollows: null\ndigest: &d sha256:{'b' * 64}\nx: *d\n",
        "schema_version: 1\nrelease: &v 0.1.0\ndigest: *v\n",
        "{schema_version: 1, release: null, digest: null, suspend: false} # flow",
        "schema_version: 1\nrelease: null\nrelease: null\ndigest: null\n",
        "schema_version: 1\nrelease: [1]\ndigest: null\n",
        "schema_version: 1\nrelease: !!str\ndigest: null\n",
        "- 1\n",
        "release: [",
        "",
    ],
)
def test_what_cannot_be_edited_safely_is_edited_right_or_refused(text):
    try:
        edited = with_values(text, "preprod", VALUES)
    except SettingsError:
        return
    assert yaml.safe_load(edited) == yaml.safe_load(text) | VALUES


@given(st.text(max_size=200))
def test_whatever_the_text_the_answer_is_a_file_or_a_refusal(text):
    try:
        edited = with_values(text, "preprod", {"suspend": True})
    except SettingsError:
        return
    assert has_values(edited, "preprod", {"suspend": True})


def test_a_file_that_cannot_be_read_says_nothing():
    assert not has_values("release: [", "preprod", VALUES)
    assert not has_values("schema_version: 1\n", "preprod", VALUES)
