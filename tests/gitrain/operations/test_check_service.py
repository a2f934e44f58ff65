"""The checks of a service, on real processes: an honest one passes, and each seeded defect turns its check red."""

import contextlib
import math
import platform
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from tests.gitrain.checks.defects import SeededDefect
from tests.gitrain.probes.fakes import InstantLoad, PoliteSender, SilentFuzzer
from tests.gitrain.probes.service import KNOWN

from gitrain.checks import service as rules
from gitrain.environments.document import LoadLimits, LoadProbe, Resources, Runtime
from gitrain.integrations.http_client import HttpClient
from gitrain.integrations.http_load import HttpLoad
from gitrain.integrations.raw_http import RawHttp
from gitrain.integrations.schemathesis import Schemathesis
from gitrain.integrations.served_process import ServedProcess
from gitrain.operations.check_service import ServiceTools, check_service, drained, sent_before
from gitrain.operations.probe_smoke import wait_until_ready
from gitrain.probes.payloads import payloads_of
from gitrain.probes.started import BuiltFor, ServedRelease, Stopped
from gitrain.serving.manifest import KnownAnswers
from gitrain.verdicts import Outcome, Verdict

ROOT = Path(__file__).resolve().parents[3]
PAYLOADS = payloads_of(KnownAnswers.model_validate(KNOWN), "parcels")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def tools(*defects: str, real: str = "", memory: str = "180Mi") -> ServiceTools:
    """A service with defects as a process of its own; only the probe named by `real` is a real one."""
    return ServiceTools(
        release=ServedRelease(
            name="release 1.4.0",
            folder=ROOT,
            command=(sys.executable, "-m", "tests.gitrain.probes.service", "{port}", *defects),
            paths=(ROOT,),
            facts={"version": "1.4.0", "commit": "0" * 40},
            built_for=BuiltFor(python=PYTHON, machine=platform.machine(), libraries={"numpy": frozenset({"2.0.0"})}),
        ),
        # A machine that runs other tests beside these is slow to start anything, and to answer.
        runtime=Runtime(
            resources=Resources(memory=memory, cpu=1),
            start_seconds=2 if {"slow-start", "unready"} & set(defects) else 60,
            load_seconds=5,
            stop_seconds=2 if "deaf" in defects else 60,
        ),
        # With few requests a moment in which the generator is late takes less than one of them from the schedule.
        load=LoadProbe(rate=10, seconds=3, warm_up_seconds=0.3, limits=LoadLimits(p50_ms=400, errors=0.0, refused=0.0)),
        requests=25,
        seed=0,
        known=KnownAnswers.model_validate(KNOWN),
        compare=None,
        starter=ServedProcess(),
        open_variables=lambda: contextlib.nullcontext({"PYTHONUNBUFFERED": "1"}),
        open_client=lambda url: HttpClient(url=url),
        generator=HttpLoad() if real in {"load", "drains"} else InstantLoad(),
        fuzzer=Schemathesis() if real == "contract" else SilentFuzzer(),
        sender=RawHttp() if real in {"contract", "drains"} else PoliteSender(),
        clock=time.monotonic,
        sleep=time.sleep,
        progress=lambda _: None,
    )


class Stalling(HttpLoad):
    """A generator whose loop stands still for half a second once: when so many requests were done, or it is told to."""

    def __init__(self, *, after=math.inf):
        super().__init__(clock=self._reads)
        self.now = threading.Event()
        self._after, self._stood = after, False

    def _reads(self):
        read = time.monotonic()
        if self.now.is_set() and not self._stood:
            # What was begun to be sent just now is written half a second later.
            self._stood = True
            time.sleep(0.5)
        return read

    def run(self, url, due, payloads, *, timeout, progress, more=lambda _: True):
        def asked(finished):
            if finished >= self._after:
                self.now.set()
            return more(finished)

        return super().run(url, due, payloads, timeout=timeout, progress=progress, more=asked)


@dataclass(frozen=True)
class Telling:
    """A client that tells somebody when it was asked for /readyz, and is answered afterwards, or before."""

    client: HttpClient
    tell: Callable[[], object]
    first: bool

    @property
    def url(self):
        return self.client.url

    def send(self, method, path, body=None, headers=None):
        if path == "/readyz" and self.first:
            self.tell()
        reply = self.client.send(method, path, body, headers)
        if path == "/readyz" and not self.first:
            self.tell()
        return reply


def verdicts_of(found: ServiceTools) -> dict[str, Verdict]:
    verdicts = check_service(found)
    assert [verdict.name for verdict in verdicts] == [definition.name for definition in rules.CHECKS]
    return {verdict.name: verdict for verdict in verdicts}


@pytest.mark.slow
def test_an_honest_service_passes_everything():
    honest = tools(real="drains")
    verdicts = verdicts_of(honest)

    assert {name: each.reason for name, each in verdicts.items() if each.outcome is not Outcome.PASSED} == {}
    assert verdicts[rules.DRAINS].figures["requests"] >= 5


DEFECTS: list[tuple[str, str, tuple[str, ...], str, str]] = [
    (rules.STARTS, "the process ends while it starts", ("crash",), "", "the model cannot be read"),
    (rules.STARTS, "a start that takes longer than the environment allows", ("slow-start",), "", "not ready within"),
    (rules.STARTS, "a service that never becomes ready", ("unready",), "", "not ready within"),
    (rules.IDENTITY, "the service lies in /release", ("lies",), "", "version is '1.3.0'"),
    (rules.FITS, "a Python that the release was not built for", ("python",), "", "it runs on Python 3.8"),
    (rules.FITS, "a library that is not the locked one", ("library",), "", "numpy is 1.0.0"),
    (rules.MODEL_LOADS, "a model that takes half a minute to read", ("slow-model",), "", "read in 30.5 s"),
    (rules.CONTRACT, "a 500 for some bodies that the description allows", ("error-5",), "contract", "Server error"),
    (rules.CONTRACT, "an answer without a field that is described", ("shape",), "contract", "Response violates schema"),
    (rules.CORRECT, "0.01 is added to each score", ("shift",), "", "6 of 6 known rows get a wrong answer"),
    (rules.LOAD, "requests take 0.15 s each, one at a time, and 10 a second are due", ("slow",), "load", "half of the"),
    (rules.LOAD, "one request in ten is refused", ("refuse",), "load", "answered with 429"),
    (rules.MEMORY, "the service takes 200 MiB more than it declares", ("leak",), "", "180 are declared"),
    (rules.DRAINS, "the service does not stop when it is told to", ("deaf",), "drains", "had to be killed"),
    (rules.DRAINS, "the service drops what it has begun", ("rude",), "drains", "whose body was on its way"),
]
SEEDED_DEFECTS = [SeededDefect(check=check, defect=defect) for check, defect, *_ in DEFECTS]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("check", "defect", "sown", "real", "reason"), DEFECTS, ids=[f"{each[0]} {each[1]}" for each in DEFECTS]
)
def test_a_seeded_defect_is_found(check: str, defect: str, sown: tuple[str, ...], real: str, reason: str):
    verdicts = verdicts_of(tools(*sown, real=real))

    assert verdicts[check].outcome is Outcome.FAILED
    assert reason in verdicts[check].reason
    others = {name for name, each in verdicts.items() if each.outcome is Outcome.FAILED and name != check}
    # Nothing but its own check fails; a slow service may be slow to stop too, and a known row be among the refused.
    assert others <= {"slow": {rules.DRAINS}, "refuse": {rules.CORRECT}}.get(sown[0], set())


def test_what_had_not_left_before_the_signal_is_not_the_services_loss():
    """Something else was asked at 10.6 s by the clock; each request was begun at 0.1 s."""
    due = np.full(5, 0.1)
    samples = InstantLoad().run("", due, [], timeout=1, progress=str)
    found = replace(
        samples,
        started=10.0,
        # It stood still; it was written while the other was asked; never; and after a stall that was made up for.
        written=np.array([0.1, 0.65, 0.598, np.nan, 0.5]),
        done=np.array([9.1, 9.1, 9.1, 9.1, 9.1]),
        status=np.zeros(5, dtype=np.int16),
    )
    assert sent_before(found, 10.6).tolist() == [True, False, False, False, True]
    # Who has answered had it, whatever was written when.
    answered = replace(found, status=np.full(5, 200, dtype=np.int16), done=np.array([0.2, 9, 0.599, 9, 0.7]))
    assert sent_before(answered, 10.6).tolist() == [True, False, True, False, True]


@pytest.mark.parametrize("when", ["warming up", "readiness is asked", "the signal"])
def test_a_generator_that_stands_still_costs_an_honest_service_nothing(when):
    """Half a second in which nothing is written, before the signal, across it and after it; 50 are due in a second."""
    generator = Stalling(after=1 if when == "warming up" else math.inf)
    honest = tools(real="drains")
    honest = replace(
        honest,
        load=honest.load.model_copy(update={"rate": 50.0}),
        generator=generator,
        sender=RawHttp(timeout=60),
    )
    with honest.starter.start(honest.release, honest.runtime.resources, {}) as service:
        client = HttpClient(url=service.url)
        assert wait_until_ready(client, 60, clock=time.monotonic, sleep=time.sleep)[0] is not None
        if when != "warming up":
            tell = Telling(client, generator.now.set, first=when == "readiness is asked")
            honest = replace(honest, open_client=lambda url: tell)
        verdict = drained(honest, service, PAYLOADS)

    assert generator.now.is_set()
    assert verdict.outcome is Outcome.PASSED, verdict.reason
    assert verdict.figures["requests"] >= 5


class Silent(InstantLoad):
    """A load that sends nothing: it says that so many were due, and that all were sent long ago."""

    def run(self, url, due, payloads, *, timeout, progress, more=lambda _: True):
        found = super().run(url, due, payloads, timeout=timeout, progress=progress)
        return replace(found, started=time.monotonic() - due[-1] - 1)


class Slowly(PoliteSender):
    """A sender whose thread gets its turn late."""

    def __init__(self):
        self.said = []

    def send(self, url, request, *, begun=lambda: None):
        time.sleep(0.3)
        self.said.append("the head is sent")
        reply = super().send(url, request, begun=begun)
        self.said.append("the body is sent")
        return reply


@dataclass
class Recorded:
    """A service that says when it was told to stop."""

    said: list
    url: str = "http://127.0.0.1:9"
    started: float = 0.0
    cpu_enforced: bool = True

    def gone(self):
        return ""

    log = gone

    def memory(self):
        return None

    def stop(self, patience):
        self.said.append("told to stop")
        return Stopped(exit_code=0, seconds=0.1, forced=False)


def test_the_service_is_told_to_stop_between_the_head_of_the_slow_request_and_its_body():
    sender = Slowly()
    verdict = drained(replace(tools(), sender=sender, generator=Silent()), Recorded(sender.said), PAYLOADS)

    assert sender.said[0] == "the head is sent"
    assert set(sender.said[1:]) == {"told to stop", "the body is sent"}
    # All were due before: nothing went on when it was told to stop.
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "no more requests were due" in verdict.reason


def test_every_check_has_a_seeded_defect():
    assert {definition.name for definition in rules.CHECKS} == {each.check for each in SEEDED_DEFECTS}


def test_what_was_not_started_is_not_judged_and_its_log_is_told_without_passwords():
    verdicts = verdicts_of(tools("crash"))

    assert "ada:***@store" in verdicts[rules.STARTS].reason
    assert "secret" not in verdicts[rules.STARTS].reason
    assert {each.outcome for name, each in verdicts.items() if name != rules.STARTS} == {Outcome.INCONCLUSIVE}
