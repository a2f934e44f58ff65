"""The file of an environment, `environments/NAME.yaml`: the desired state. Part of the public API."""

import re
from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from gitrain.documents import Document, ExactSection, parse_yaml
from gitrain.errors import UsageError

__all__ = [
    "FOLDER",
    "CanaryLimits",
    "CanaryStep",
    "ContractProbe",
    "Environment",
    "EnvironmentGates",
    "Judgement",
    "LoadLimits",
    "LoadProbe",
    "Probes",
    "Resources",
    "Runtime",
    "Shadow",
    "SmokeProbe",
    "Strategy",
    "environment_path",
    "parse_environment",
]

#: Where the files are, relative to the repository's root.
FOLDER = "environments"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_SLOW_MS = 100.0
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


class Resources(ExactSection):
    """What one replica may take.

    Attributes:
        memory: of all its processes together, as in ``512Mi``.
        cpu: processors; a part of one, such as 0.5, is a share of its time.
    """

    memory: str = Field(default="512Mi", pattern=r"^[1-9]\d{0,6}(Ki|Mi|Gi)$")
    cpu: float = Field(default=1.0, gt=0, le=1024)

    @property
    def memory_bytes(self) -> int:
        """The memory in bytes."""
        return int(self.memory[:-2]) * _UNITS[self.memory[-2:]]


class Runtime(ExactSection):
    """What runs the release, and what it may take.

    Attributes:
        deployer: local: processes of this machine; kubernetes: manifests of a cluster.
        replicas: how many.
        listen: the address that users reach on the machine of the local deployer, as ``HOST:PORT``.
        resources: of each of them.
        start_seconds: a replica that is not ready by then has failed.
        load_seconds: how long reading the model may take.
        stop_seconds: how long a replica may take to answer what it has begun, once it is told to stop.
    """

    deployer: Literal["local", "kubernetes"] = "local"
    replicas: int = Field(default=1, ge=1, le=1000)
    listen: str = Field(
        default="127.0.0.1:8080", pattern=r"^([A-Za-z0-9.-]{1,200}|\[[0-9a-fA-F:.]{2,45}\]):[1-9]\d{0,4}$"
    )
    resources: Resources = Resources()
    start_seconds: float = Field(default=30.0, gt=0, le=600)
    load_seconds: float = Field(default=5.0, gt=0, le=600)
    stop_seconds: float = Field(default=15.0, gt=0, le=600)

    @field_validator("listen")
    @classmethod
    def _a_port(cls, value: str) -> str:
        if int(value.rpartition(":")[2]) > 65_535:
            raise ValueError("a port is 65535 at most")
        return value

    @field_validator("listen")
    @classmethod
    def _a_host_that_can_be_looked_up(cls, value: str) -> str:
        host = value.rpartition(":")[0]
        # The dot at the end is that of the root of all names.
        if not host.startswith("[") and any(not 0 < len(part) < 64 for part in host.removesuffix(".").split(".")):
            raise ValueError("each part of a host's name, between dots, has 1 to 63 characters")
        return value


class SmokeProbe(ExactSection):
    """Rows with known answers.

    Attributes:
        ready_seconds: how long the probe waits for readiness.
    """

    ready_seconds: float = Field(default=30.0, gt=0, le=3600)


class ContractProbe(ExactSection):
    """Requests made up from the service's own description.

    Attributes:
        requests: about so many.
    """

    requests: int = Field(default=500, ge=1, le=1_000_000)


class LoadLimits(ExactSection):
    """What users may see under load. Latencies are counted from the moment that a request was due.

    Attributes:
        p50_ms: half of the requests are answered by then.
        p90_ms: nine in ten.
        p99_ms: ninety-nine in a hundred.
        p999_ms: all but one in a thousand.
        max_ms: all of them.
        longest_pause_ms: the longest time for which requests waited and none was answered.
        errors: share of requests that may get no answer, or another one than 200 or 429.
        refused: share that may be answered with 429.
        missing: share of predictions that may lack a feature which is known to be there.
        stale: share of predictions that may have been made from stale features.
    """

    p50_ms: float | None = Field(default=None, gt=0, le=600_000)
    p90_ms: float | None = Field(default=None, gt=0, le=600_000)
    p99_ms: float | None = Field(default=None, gt=0, le=600_000)
    p999_ms: float | None = Field(default=None, gt=0, le=600_000)
    max_ms: float | None = Field(default=None, gt=0, le=600_000)
    longest_pause_ms: float | None = Field(default=None, gt=0, le=600_000)
    errors: float = Field(default=0.0, ge=0, le=1)
    refused: float = Field(default=0.0, ge=0, le=1)
    missing: float | None = Field(default=None, ge=0, le=1)
    stale: float | None = Field(default=None, ge=0, le=1)


class LoadProbe(ExactSection):
    """Load at a stated rate.

    Attributes:
        rate: requests a second, whatever the service does.
        seconds: for so long, after the warm-up.
        warm_up_seconds: load before that, which is not counted.
        arrivals: constant: evenly spaced; poisson: as from users who do not know of each other.
        timeout_seconds: a request without an answer by then has failed.
        limits: what users may see.
    """

    rate: float = Field(default=50.0, gt=0, le=100_000)
    seconds: float = Field(default=10.0, gt=0, le=3600)
    warm_up_seconds: float = Field(default=2.0, ge=0, le=600)
    arrivals: Literal["constant", "poisson"] = "constant"
    timeout_seconds: float = Field(default=10.0, gt=0, le=600)
    limits: LoadLimits = LoadLimits()

    @model_validator(mode="after")
    def _a_bounded_number_of_requests(self) -> Self:
        if self.rate * (self.seconds + self.warm_up_seconds) > 10_000_000:
            raise ValueError("rate times seconds is more than ten million requests")
        return self


class Probes(ExactSection):
    """What is asked of the running service.

    Attributes:
        smoke: rows with known answers.
        contract: requests made up from the service's own description.
        load: load at a stated rate.
        required: what a release has to pass before it gets requests here; smoke is always among it.
    """

    smoke: SmokeProbe = SmokeProbe()
    contract: ContractProbe = ContractProbe()
    load: LoadProbe = LoadProbe()
    required: tuple[Literal["smoke", "contract", "load"], ...] = ("smoke", "contract", "load")

    @field_validator("required")
    @classmethod
    def _smoke_is_always_asked(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "smoke" not in value or len(set(value)) < len(value):
            raise ValueError("it names smoke, and each probe once")
        return value


class EnvironmentGates(ExactSection):
    """What a release has to have shown before it may be desired here.

    Attributes:
        successful_runs: so many successful deployments of the very same digest in `promotes_from`.
        soak_minutes: for so long it has run there, all its time together.
    """

    successful_runs: int = Field(default=0, ge=0)
    soak_minutes: float = Field(default=0.0, ge=0, le=525_600)


class CanaryStep(ExactSection):
    """One step of a canary.

    Attributes:
        percent: of the requests go to the new release, 99 at most: it is judged beside the one that runs.
        seconds: for so long, before it is judged.
    """

    percent: int = Field(ge=1)
    seconds: float = Field(gt=0, le=86_400)

    @field_validator("percent")
    @classmethod
    def _somebody_to_compare_with(cls, value: int) -> int:
        if value > 99:
            raise ValueError("a step is 99 at most: all of them follow by themselves once the last step has passed")
        return value


class CanaryLimits(ExactSection):
    """How much worse than the release that runs a new one may be, as shares of requests; null: not judged.

    Attributes:
        errors: more requests without an answer, or answered with a 5xx.
        refused: more requests answered with a 4xx.
        slow: more answers that took longer than `slow_ms`.
        missing: more predictions made without one and the same feature.
        stale: more predictions made while the store was behind with one and the same history.
        positive: more or fewer predictions decided as true.
        disagreement: copies that it decides otherwise than the release that runs; of a retrained model some are
            expected.
        distance: copies whose probability is further than 0.3 from that of the release that runs.
    """

    errors: float | None = Field(default=0.005, ge=0, lt=1)
    refused: float | None = Field(default=0.02, ge=0, lt=1)
    slow: float | None = Field(default=0.02, ge=0, lt=1)
    missing: float | None = Field(default=0.02, ge=0, lt=1)
    stale: float | None = Field(default=0.02, ge=0, lt=1)
    positive: float | None = Field(default=0.10, ge=0, lt=1)
    disagreement: float | None = Field(default=0.25, ge=0, lt=1)
    distance: float | None = Field(default=0.02, ge=0, lt=1)


class Judgement(ExactSection):
    """How a canary is judged, while it runs and at the end of each step.

    Attributes:
        requests: the new release has to have answered so many before the last step can pass, copies included; the
            steps before it ask for their part of them.
        wait_seconds: a step that has seen too few by its end is prolonged by so much at most, and has failed then.
        alpha: the share of releases no worse than the former one that may be aborted by chance.
        slow_ms: longer answers are slow; by default `probes.load.limits.p99_ms`, or 100 where that is not set.
        limits: how much worse it may be.
    """

    requests: int = Field(default=500, ge=1, le=10_000_000)
    wait_seconds: float = Field(default=600.0, ge=0, le=86_400)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    slow_ms: float | None = Field(default=None, gt=0, le=600_000)
    limits: CanaryLimits = CanaryLimits()


class Shadow(ExactSection):
    """Copies of requests for the new release; its answers are logged and compared, and no user sees them.

    Attributes:
        percent: of the requests of the release that runs are copied, from the start of the canary to its end.
        seconds: for so long copies alone are sent, before the first step sends a user's request.
    """

    percent: int = Field(default=10, ge=1, le=100)
    seconds: float = Field(default=30.0, ge=0, le=86_400)


class Strategy(ExactSection):
    """How traffic moves to a new release.

    Attributes:
        kind: blue-green: all at once, after the probes; canary: in steps.
        steps: of a canary, with rising shares; what is left follows after the last one.
        judge: how a canary is judged.
        shadow: the copies that a canary is judged by as well; null: none.
        standby: whether the former release keeps running without requests, until the next deployment: going back is
            then a matter of seconds.
    """

    kind: Literal["blue-green", "canary"] = "blue-green"
    steps: list[CanaryStep] = Field(default_factory=list)
    judge: Judgement = Judgement()
    shadow: Shadow | None = None
    standby: bool = True

    @model_validator(mode="after")
    def _steps_rise(self) -> Self:
        shares = [step.percent for step in self.steps]
        if (self.kind == "canary") != bool(shares):
            raise ValueError("a canary has steps, and nothing else has")
        if shares != sorted(set(shares)):
            raise ValueError("the steps' percentages have to rise")
        if self.kind != "canary" and (self.shadow is not None or "judge" in self.model_fields_set):
            raise ValueError("judge and shadow are of a canary")
        return self


class Environment(ExactSection, Document):
    """The whole of a file.

    Attributes:
        follows: a branch: its newest release runs here.
        release: the version that runs here, as in ``1.4.0``; with neither nothing runs here yet.
        digest: of that release's bundle.
        promotes_from: the environment that a release has to have run in before.
        runtime: what runs the release.
        probes: what is asked of the running service.
        gates: what a release has to have shown before.
        strategy: how traffic moves to a new release.
        suspend: true: nothing is changed here until it is false again.
    """

    follows: str | None = Field(default=None, min_length=1, max_length=200)
    release: str | None = Field(default=None, pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$")
    digest: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$", validate_default=True)
    promotes_from: str | None = Field(default=None, pattern=rf"^{_NAME.pattern}$")
    runtime: Runtime = Runtime()
    probes: Probes = Probes()
    gates: EnvironmentGates = EnvironmentGates()
    strategy: Strategy = Strategy()
    suspend: bool = False

    @field_validator("release")
    @classmethod
    def _one_way_to_say_what_runs(cls, release: str | None, found: ValidationInfo) -> str | None:
        if release is not None and found.data.get("follows") is not None:
            raise ValueError("the environment follows a branch or names a release, not both")
        return release

    @field_validator("digest")
    @classmethod
    def _a_version_alone_does_not_say_which_bytes(cls, digest: str | None, found: ValidationInfo) -> str | None:
        if "release" in found.data and (found.data["release"] is None) != (digest is None):
            raise ValueError("release and digest stand together")
        return digest

    @field_validator("gates")
    @classmethod
    def _runs_are_counted_somewhere(cls, gates: EnvironmentGates, found: ValidationInfo) -> EnvironmentGates:
        if (gates.successful_runs or gates.soak_minutes) and found.data.get("promotes_from") is None:
            raise ValueError("successful_runs and soak_minutes are of the runs in promotes_from, which is not given")
        return gates

    @property
    def slow_seconds(self) -> float:
        """Answers that take longer are slow."""
        limit = self.strategy.judge.slow_ms or self.probes.load.limits.p99_ms or _SLOW_MS
        return limit / 1000


def environment_path(name: str) -> str:
    """The file of an environment, relative to the repository's root.

    Raises:
        UsageError: no environment can have this name.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name[:60]!r} is no name of an environment",
            fix="give small letters, digits and hyphens, as in preprod.",
        )
    return f"{FOLDER}/{name}.yaml"


def parse_environment(text: str, name: str) -> Environment:
    """Read the file of the environment `name`.

    Raises:
        SettingsError: not YAML, an unknown key or an impossible value.
        UsageError: no environment can have this name, or it promotes from itself.
    """
    path = environment_path(name)
    environment = parse_yaml(Environment, text, source=path)
    if environment.promotes_from == name:
        raise UsageError(f"{path} promotes from itself", fix="name the environment that comes before it.")
    return environment
