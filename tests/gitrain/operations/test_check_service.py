"""The checks of a service, on real processes: an honest one passes, and each seeded defect turns its check red."""

import contextlib
import platform
import sys
import time
from dataclasses import replace
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
from gitrain.operations.check_service import ServiceTools, check_service, sent_before
from gitrain.probes.started import BuiltFor, ServedRelease
from gitrain.serving.manifest import KnownAnswers
from gitrain.verdicts import Outcome, Verdict

ROOT = Path(__file__).resolve().parents[3]
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


def sent_samples(sent, *, late):
    sent = np.array(sent, dtype=np.float64)
    due = sent.copy()
    due[:1] -= late
    return replace(InstantLoad().run("", due, [], timeout=1, progress=str), started=10.0, sent=sent)


def verdicts_of(found: ServiceTools) -> dict[str, Verdict]:
    verdicts = check_service(found)
    assert [verdict.name for verdict in verdicts] == [definition.name for definition in rules.CHECKS]
    return {verdict.name: verdict for verdict in verdicts}


@pytest.mark.slow
def test_an_honest_service_passes_everything():
    honest = tools(real="drains")
    verdicts = verdicts_of(honest)

    assert {name: each.reason for name, each in verdicts.items() if each.outcome is not Outcome.PASSED} == {}
    assert verdicts[rules.DRAINS].figures["requests"] >= 3


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


def test_what_a_late_generator_sent_right_before_the_signal_is_not_the_services_loss():
    """Told to stop at 10.6 s by the clock; the last request before was sent 15 ms earlier, which is soon enough."""
    told, due = 10.6, [0.1, 0.585, np.nan, 0.7]
    assert sent_before(sent_samples(due, late=0.0), told).tolist() == [True, True, False, False]
    # The same by a generator that is up to 30 ms late: as late as that it may have arrived.
    late = sent_samples([0.1, 0.585, np.nan, 0.7], late=0.03)
    assert sent_before(late, told).tolist() == [True, False, False, False]
    assert sent_before(sent_samples([], late=0.0), told).tolist() == []


def test_every_check_has_a_seeded_defect():
    assert {definition.name for definition in rules.CHECKS} == {each.check for each in SEEDED_DEFECTS}


def test_what_was_not_started_is_not_judged_and_its_log_is_told_without_passwords():
    verdicts = verdicts_of(tools("crash"))

    assert "ada:***@store" in verdicts[rules.STARTS].reason
    assert "secret" not in verdicts[rules.STARTS].reason
    assert {each.outcome for name, each in verdicts.items() if name != rules.STARTS} == {Outcome.INCONCLUSIVE}
