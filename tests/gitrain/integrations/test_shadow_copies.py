"""Copies sent to a real HTTP server on the loopback interface."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gitrain.integrations.shadow_copies import ShadowCopies
from gitrain.serving.shadow import Compared, CopyOrder

SAME = json.dumps({"predictions": [{"probability": 0.9, "decision": True}]}).encode()
OTHER = json.dumps({"predictions": [{"probability": 0.1, "decision": False}]}).encode()


class Challenger(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        self.asked, self.connections = [], set()
        self.answer, self.status, self.hang_up, self.free = SAME, 200, False, threading.Event()
        self.free.set()
        super().__init__(("127.0.0.1", 0), Answer)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def end(self):
        self.free.set()
        self.shutdown()
        self.server_close()
        self.thread.join()


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Challenger

    def do_POST(self):
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.asked.append((self.path, self.headers["X-Request-Id"], self.headers["X-Gitrain-Copy"], body))
        server.connections.add(self.client_address)
        server.free.wait(60)
        self.send_response(server.status)
        self.send_header("Content-Length", str(len(server.answer)))
        self.end_headers()
        self.wfile.write(server.answer)
        # As a server that closes idle connections: without a word.
        self.close_connection = server.hang_up

    def log_message(self, *arguments):
        pass


@pytest.fixture
def challenger():
    found = Challenger()
    yield found
    found.end()


class Champion:
    def __init__(self, folder, **options):
        self.orders = folder / "copies.json"
        self.became = []
        self.copies = ShadowCopies(
            self.orders, lambda *became: self.became.append(became), release="1.0.0", look_seconds=0.01, **options
        )

    def order(self, port, percent=100, release="1.1.0"):
        order = CopyOrder(schema_version=1, port=port, release=release, percent=percent)
        beside = self.orders.with_suffix(".part")
        beside.write_text(order.model_dump_json())
        beside.replace(self.orders)

    def send(self, number=1, answer=SAME):
        for place in range(number):
            self.copies.offer(f"request-{place}", b"{}", answer)

    def wait(self, number):
        wait_for(lambda: len(self.became) >= number)
        return self.became


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def champion(tmp_path, challenger):
    found = Champion(tmp_path, answer_seconds=60)
    found.order(challenger.server_port)
    found.copies.start()
    yield found
    found.copies.close()


def test_copies_carry_the_name_of_the_request_and_answers_are_compared(champion, challenger):
    champion.send(2)
    champion.send(1, OTHER)
    same, differs = Compared(rows=1, decisions=0, far=0), Compared(rows=1, decisions=1, far=1)
    assert champion.wait(3) == [("compared", same), ("compared", same), ("compared", differs)]
    assert challenger.asked[:2] == [("/predict", f"request-{place}", "1", b"{}") for place in (0, 1)]
    assert len(challenger.connections) == 1


def test_of_a_fifth_every_fifth_is_copied(champion, challenger):
    champion.order(challenger.server_port, percent=20)
    wait_for(lambda: champion.copies._order.percent == 20)
    champion.send(50)
    champion.wait(10)
    assert [name for _, name, _, _ in challenger.asked] == [f"request-{place}" for place in range(4, 50, 5)]


def test_without_an_order_nothing_is_sent_and_an_order_is_found_without_a_restart(tmp_path, challenger):
    champion = Champion(tmp_path, answer_seconds=60)
    champion.copies.start()
    try:
        champion.send(5)
        champion.order(challenger.server_port)
        wait_for(lambda: champion.copies._order is not None)
        champion.send(1)
        champion.wait(1)
        champion.orders.unlink()
        wait_for(lambda: champion.copies._order is None)
        champion.send(5)
    finally:
        champion.copies.close()
    assert len(champion.became) == len(challenger.asked) == 1


def test_a_damaged_order_takes_the_place_of_the_one_before_and_asks_for_nothing(tmp_path, challenger):
    champion = Champion(tmp_path, answer_seconds=60)
    champion.order(challenger.server_port)
    champion.copies.start()
    try:
        champion.send(1)
        champion.wait(1)
        # To where copies can be sent, and more of them than there are requests.
        damaged = {"schema_version": 1, "port": challenger.server_port, "release": "1.1.0", "percent": 101}
        beside = champion.orders.with_suffix(".part")
        beside.write_text(json.dumps(damaged))
        beside.replace(champion.orders)
        champion.copies.look()
        assert champion.copies._order is None
        champion.send(5)
    finally:
        champion.copies.close()
    assert len(champion.became) == len(challenger.asked) == 1


@pytest.mark.parametrize(
    ("status", "answer", "outcome"),
    [(500, SAME, "failed"), (422, SAME, "refused"), (429, SAME, "dropped"), (200, b"nonsense", "failed")],
)
def test_other_answers_are_compared_with_nothing(champion, challenger, status, answer, outcome):
    challenger.status, challenger.answer = status, answer
    champion.send(1)
    assert champion.wait(1) == [(outcome, None)]


def test_a_connection_that_was_closed_while_idle_is_no_failure(champion, challenger):
    challenger.hang_up = True
    for number in range(1, 4):
        champion.send(1)
        champion.wait(number)
    assert {outcome for outcome, _ in champion.became} == {"compared"}
    assert len(challenger.connections) == 3


def test_nobody_there(champion, challenger):
    champion.order(1)
    wait_for(lambda: champion.copies._order.port == 1)
    champion.send(1)
    assert champion.wait(1) == [("failed", None)]


def test_offering_never_waits(tmp_path, challenger):
    champion = Champion(tmp_path, waiting=3, answer_seconds=60)
    champion.order(challenger.server_port)
    champion.copies.start()
    challenger.free.clear()
    try:
        champion.send(1)
        wait_for(lambda: challenger.asked)
        # One is asked about and gets no answer as long as these are offered: none of them could wait for it to end.
        champion.send(100)
        assert champion.became == [("dropped", None)] * 97
        assert len(challenger.asked) == 1
        challenger.free.set()
        wait_for(lambda: len(champion.became) == 101)
        assert {outcome for outcome, _ in champion.became[97:]} == {"compared"}
    finally:
        challenger.free.set()
        champion.copies.close()


def test_an_answer_that_does_not_come_is_given_up(tmp_path, challenger):
    champion = Champion(tmp_path, answer_seconds=0.1)
    champion.order(challenger.server_port)
    champion.copies.start()
    challenger.free.clear()
    try:
        champion.send(2)
        assert champion.wait(2) == [("failed", None)] * 2
    finally:
        challenger.free.set()
        champion.copies.close()


def test_the_release_that_gets_copies_sends_none(champion, challenger):
    champion.order(challenger.server_port, release="1.0.0")
    wait_for(lambda: champion.copies._order is None)
    champion.send(3)
    champion.order(challenger.server_port)
    wait_for(lambda: champion.copies._order is not None)
    champion.send(1)
    champion.wait(1)
    assert len(challenger.asked) == 1


def test_after_the_end_nothing_is_sent(champion, challenger):
    champion.copies.close()
    champion.send(3)
    assert champion.became == []
    assert challenger.asked == []
