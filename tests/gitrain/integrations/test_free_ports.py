import socket
from pathlib import Path

import pytest

from gitrain.errors import IntegrationError
from gitrain.integrations import free_ports
from gitrain.integrations.free_ports import free_port


def test_a_port_can_be_listened_at_and_is_no_outgoing_connections():
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(given.read_text().split()[0]) if given.exists() else 49_152
    for _ in range(50):
        port = free_port()
        assert 20_000 <= port < max(first, 32_768)
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", port))
            listening.listen()


def test_a_port_that_is_in_use_or_will_be_is_not_given(monkeypatch):
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
