"""What a log of Caddy's says; a real Caddy writes one in `test_caddy.py`."""

import json

from gitrain.deployment.figures import ProxiedRequest
from gitrain.integrations.caddy_requests import CaddyRequests


def line(port=1, status=200, duration=0.001, uri="/predict"):
    request = {"method": "POST", "uri": uri}
    return json.dumps({"request": request, "duration": duration, "status": status, "upstream": f"127.0.0.1:{port}"})


def write(path, *lines, end="\n"):
    with path.open("a") as stream:
        stream.write("\n".join(lines) + end)


def test_only_what_is_added_while_it_is_watched_counts(tmp_path):
    log, found = tmp_path / "requests.log", CaddyRequests(tmp_path)
    found.prepare()
    assert (tmp_path / "watched").read_text() == "off"
    write(log, line(), line())
    with found.watched() as requests:
        assert (tmp_path / "watched").read_text() == "on"
        assert requests() == []
        write(log, line(2, 502, 0.5))
        assert requests() == [ProxiedRequest(port=2, status=502, seconds=0.5)]
        assert requests() == []
    assert (tmp_path / "watched").read_text() == "off"


def test_a_log_that_is_not_there_yet(tmp_path):
    with CaddyRequests(tmp_path).watched() as requests:
        assert requests() == []
        write(tmp_path / "requests.log", line())
        assert len(requests()) == 1


def test_half_a_line_waits_for_its_rest(tmp_path):
    log, text = tmp_path / "requests.log", line(7)
    log.touch()
    with CaddyRequests(tmp_path).watched() as requests:
        write(log, text[:20], end="")
        assert requests() == []
        write(log, text[20:])
        assert [each.port for each in requests()] == [7]


def test_a_log_that_is_rolled_loses_nothing(tmp_path):
    log = tmp_path / "requests.log"
    log.touch()
    with CaddyRequests(tmp_path).watched() as requests:
        write(log, line(1))
        requests()
        write(log, line(2))
        log.rename(tmp_path / "requests-1.log")
        write(tmp_path / "requests-1.log", line(3))
        write(log, line(4))
        assert [each.port for each in requests()] == [2, 3, 4]
        write(log, line(5))
        assert [each.port for each in requests()] == [5]


def test_other_paths_and_what_is_no_request_are_passed_over(tmp_path):
    log = tmp_path / "requests.log"
    log.touch()
    with CaddyRequests(tmp_path).watched() as requests:
        write(log, line(uri="/release"), "nonsense", "[]", "{}", line(port=""), line(uri="/predict?verbose=1"))
        assert len(requests()) == 1
