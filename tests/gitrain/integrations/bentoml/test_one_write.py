import asyncio
import logging
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gitrain.integrations.bentoml.one_write import in_one_write

HEADERS = [(b"content-length", b"4")]


class Transport:
    def __init__(self):
        self.said: list[Any] = []

    def write(self, data):
        self.said.append(data)

    def close(self):
        self.said.append("closed")

    def is_closing(self):
        return "closed" in self.said


def answered(*, keep_alive=True) -> list[Any]:
    """What uvicorn does to a connection for one answer."""
    transport = Transport()

    async def answer():
        cycle = RequestResponseCycle(
            scope={"type": "http", "method": "POST", "headers": []},  # type: ignore[typeddict-item]
            transport=transport,  # type: ignore[arg-type]
            flow=FlowControl(transport),  # type: ignore[arg-type]
            logger=logging.getLogger("test"),
            access_logger=logging.getLogger("test"),
            access_log=False,
            default_headers=[],
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive,
            on_response=lambda: None,
        )
        try:
            with in_one_write(cycle.send):
                await cycle.send({"type": "http.response.start", "status": 200, "headers": HEADERS})
                await cycle.send({"type": "http.response.body", "body": b"body"})
        finally:
            assert cycle.transport is transport  # type: ignore[comparison-overlap]

    asyncio.run(answer())
    return transport.said


def test_head_and_body_are_written_at_once():
    assert answered() == [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody"]


def test_a_connection_that_ends_is_closed_after_its_answer():
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\n"

    assert answered(keep_alive=False) == [head + b"body", "closed"]


def test_what_fails_has_written_what_was_handed_over():
    class Cycle:
        def __init__(self):
            self.transport = Transport()

        def send(self, data):
            self.transport.write(data)
            assert not self.transport.is_closing()

    cycle = Cycle()
    transport = cycle.transport
    with pytest.raises(ZeroDivisionError), in_one_write(cycle.send):
        cycle.send(b"head")
        assert transport.said == []
        cycle.send(b"%d" % (1 // 0))

    assert transport.said == [b"head"]
    assert cycle.transport is transport


def test_other_servers_are_left_as_they_are():
    async def send(message):
        raise AssertionError(message)

    with in_one_write(send):
        pass
    with in_one_write(None):
        pass
