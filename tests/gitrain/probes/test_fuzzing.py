"""The line for a shell sends the very request again, and nothing else happens."""

import os
import subprocess
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gitrain.probes.fuzzing import FuzzedRequest, curl_of

# Stands in for curl: writes its arguments, each ended by NUL, and its standard input if a body comes from there.
_CURL = """#!/bin/sh
for word in "$@"; do printf '%s\\0' "$word"; done
printf 'END'
case "$*" in *"--data-binary @-"*) cat ;; esac
"""


def run(line, folder: Path):
    (folder / "curl").write_text(_CURL)
    (folder / "curl").chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["/bin/sh", "-c", line], cwd=folder, env=environment, capture_output=True, check=True)
    words, _, rest = done.stdout.partition(b"\0END")
    assert {each.name for each in folder.iterdir()} == {"curl"}
    return words.split(b"\0"), rest


@settings(max_examples=25)
@given(
    body=st.binary(min_size=1, max_size=60)
    | st.text(min_size=1, max_size=60).map(lambda text: text.encode("utf-8", "replace"))
)
def test_a_body_arrives_as_it_was(tmp_path, body):
    request = FuzzedRequest(
        method="POST", url="http://127.0.0.1:1/predict", headers={"content-type": "application/json"}, body=body
    )

    words, rest = run(curl_of(request), tmp_path)

    sent = words[words.index(b"--data-binary") + 1]
    assert (rest if sent == b"@-" else sent) == body
    assert words[-1] == b"http://127.0.0.1:1/predict"


def test_the_shell_runs_nothing_of_it(tmp_path):
    evil = "'; touch owned; $(touch owned) `touch owned` \" @file"
    request = FuzzedRequest(method="PUT", url=f"http://127.0.0.1:1/{evil}", headers={"x": evil}, body=evil.encode())

    words, _ = run(curl_of(request), tmp_path)

    assert evil.encode() in words
    assert f"x: {evil}".encode() in words


def test_no_body_and_a_large_one():
    assert curl_of(FuzzedRequest(method="GET", url="http://h/x")) == "curl -sS -i -X GET http://h/x"
    assert "# a body of 30,000 bytes" in curl_of(FuzzedRequest(method="POST", url="http://h/x", body=b"x" * 30_000))
