import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gitrain.errors import IntegrationError
from gitrain.integrations import free_ports
from gitrain.integrations.free_ports import free_port


@pytest.fixture(autouse=True)
def _turns_of_their_own(monkeypatch, tmp_path):
    """The turns of this machine's ports are also those of tests that run beside these."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_port_can_be_listened_at_and_is_no_outgoing_connections():
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(given.read_text().split()[0]) if given.exists() else 49_152
    for _ in range(50):
        port = free_port()
        assert 20_000 <= port < max(first, 32_768)
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", port))
            listening.listen()


def test_a_port_that_is_in_use_or_will_be_is_not_given(monkeypatch, tmp_path):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", free_port()))
        listening.listen()
        used = listening.getsockname()[1]
        monkeypatch.setattr(free_ports, "_FIRST", used)
        monkeypatch.setattr(free_ports, "_LAST", used)
        with pytest.raises(IntegrationError, match="is free"):
            free_port()
    assert free_port() == used
    with pytest.raises(IntegrationError, match=f"no port from {used} to {used} is free"):
        free_port({used})
    assert (tmp_path / f"gitrain-{os.getuid()}.port").read_text().strip() == str(used)


def test_no_port_is_given_to_two_processes_before_all_others_were(tmp_path):
    """A server that is about to listen does not yet: that nobody listens at a port is not enough."""
    program = "from gitrain.integrations.free_ports import free_port; print(*[free_port() for _ in range(300)])"
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    children = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    given = [free_port() for _ in range(300)]
    for child in children:
        given += map(int, child.communicate(timeout=120)[0].split())
    assert len(given) == len(set(given)) == 900


@pytest.mark.parametrize("content", ["", "nonsense", "-5", "0", "32767", "99999999999999999"])
def test_whatever_the_file_of_turns_says_a_port_is_given(tmp_path, content):
    (tmp_path / f"gitrain-{os.getuid()}.port").write_text(content)
    port = free_port()
    assert 20_000 <= port <= 32_767
    # What stood there does not become part of the next turn.
    assert int((tmp_path / f"gitrain-{os.getuid()}.port").read_text()[:16]) == port


def test_where_turns_cannot_be_taken_a_port_is_given(monkeypatch, tmp_path):
    """Somebody's link is not followed, be it a hard one, and no folder is needed."""
    (tmp_path / "mine").write_text("precious")
    (tmp_path / f"gitrain-{os.getuid()}.port").symlink_to(tmp_path / "mine")
    assert 20_000 <= free_port() <= 32_767
    assert (tmp_path / "mine").read_text() == "precious"
    (tmp_path / f"gitrain-{os.getuid()}.port").unlink()
    (tmp_path / f"gitrain-{os.getuid()}.port").hardlink_to(tmp_path / "mine")
    assert 20_000 <= free_port() <= 32_767
    assert (tmp_path / "mine").read_text() == "precious"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert 20_000 <= free_port() <= 32_767
