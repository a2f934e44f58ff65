"""Find out what is known of data, model and former retrainings, and decide whether to train again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gitrain.data.batches import batches_between
from gitrain.data.tables import Table
from gitrain.deployment.commits import CommitHistory
from gitrain.documents import parse_yaml
from gitrain.errors import PipelineError, UsageError
from gitrain.lineage import digest_of_value
from gitrain.monitoring.report import MonitoringReport
from gitrain.operations.ask_source import ask_source
from gitrain.pipeline.candidate import CandidateClones
from gitrain.pipeline.layout import LOCK, MODEL_MANIFEST, PARAMS
from gitrain.pipeline.lock import Lock
from gitrain.pipeline.params import Params
from gitrain.project import Project
from gitrain.triggers.decision import PREFIX, RetrainingPlan, decide
from gitrain.triggers.facts import RetrainingFacts, digest_of_pipeline
from gitrain.triggers.forge import Issues, Proposals
from gitrain.triggers.record import RetrainingRecords, last_words

__all__ = ["RetrainingTools", "gather_facts", "plan_retraining"]

# As many batches at once as anybody can have forgotten.
_MOST_BATCHES = 60
_LONGEST_REQUEST = 400


@dataclass(frozen=True, kw_only=True)
class RetrainingTools:
    """What retraining is planned and carried out with.

    Attributes:
        project: whose sources are asked.
        proposals: where candidates are proposed, and whose default branch says what there is now.
        issues: where people are told of data that cannot be used.
        history: of the commits.
        records: of former retrainings.
        clones: where candidates are made.
        clock: the time, in UTC.
    """

    project: Project
    proposals: Proposals
    issues: Issues
    history: CommitHistory
    records: RetrainingRecords
    clones: CandidateClones
    clock: Callable[[], datetime]


def plan_retraining(
    tools: RetrainingTools, *, request: str | None = None, monitoring: MonitoringReport | None = None
) -> RetrainingPlan:
    """Whether to train again, and on what evidence. Nothing is changed anywhere.

    Args:
        tools: what is asked.
        request: why a person asks for it.
        monitoring: the newest monitoring report.

    Raises:
        UsageError: there is no remote, the request is empty, or the report is another project's.
        PipelineError: the default branch has no dvc.lock, or Git cannot be read.
        SettingsError: a file of the default branch, or a record, is broken.
        IntegrationError: the forge cannot be reached or refuses.
    """
    facts, params = gather_facts(tools, request=request, monitoring=monitoring, busy=tools.clones.busy())
    return decide(facts, params.retraining)


def gather_facts(
    tools: RetrainingTools,
    *,
    request: str | None = None,
    monitoring: MonitoringReport | None = None,
    busy: bool = False,
) -> tuple[RetrainingFacts, Params]:
    """What is known, and the parameters of the default branch; errors as in `plan_retraining`.

    Args:
        tools: what is asked.
        request: why a person asks for it.
        monitoring: the newest monitoring report.
        busy: another process of this clone is at a retraining.
    """
    project, now = tools.project, tools.clock()
    asked = _checked(request)
    if monitoring is not None and monitoring.project != project.name:
        raise UsageError(
            f"the monitoring report is of {monitoring.project}, and this is {project.name}", fix="hand over its own."
        )
    head = tools.proposals.head()
    lock = Lock.parse(_read(tools.history, head.commit, LOCK), source=f"{LOCK} of {head.branch}")
    params = parse_yaml(Params, _read(tools.history, head.commit, PARAMS), source=f"{PARAMS} of {head.branch}")
    policy = params.retraining
    news = _new_batches(project, params, now)
    batches, notes = news.batches, list(news.notes)
    if monitoring is not None and now - monitoring.generated > timedelta(days=policy.monitoring_days):
        notes.append(f"the monitoring report is of {monitoring.generated:%Y-%m-%d}: too old to be evidence")
    champion_since = None
    if policy.every_days is not None or policy.champion_age_days is not None:
        versions = tools.history.versions(MODEL_MANIFEST, commit=head.commit)
        champion_since = versions[0].at if versions else None
    facts = RetrainingFacts(
        now=now,
        base=head.commit,
        branch=head.branch,
        through=params.data.through,
        batches=batches,
        unreadable=news.unreadable,
        pipeline=digest_of_pipeline(lock, params),
        data=_digest_of_data(project, params, news),
        champion_since=champion_since,
        monitoring=monitoring,
        request=asked,
        records=tuple(last_words(tools.records.list())),
        proposals=tuple(tools.proposals.waiting(PREFIX)),
        holder=tools.clones.holder,
        busy=busy,
        notes=tuple(notes),
    )
    return facts, params


def _checked(request: str | None) -> str | None:
    if request is None:
        return None
    text = " ".join("".join(char if char.isprintable() else " " for char in request).split())
    if not text or len(text) > _LONGEST_REQUEST:
        raise UsageError(
            f"the reason of the request has {len(text)} characters",
            fix=f"say in 1 to {_LONGEST_REQUEST} characters why a model is to be trained.",
        )
    return text


def _read(history: CommitHistory, commit: str, path: str) -> str:
    text = history.read(commit, path)
    if text is None:
        raise PipelineError(
            f"commit {commit[:12]} of the default branch has no {path}",
            fix=f"run `dvc repro`, commit {path} and merge it: a model is trained again from there.",
        )
    return text


@dataclass(frozen=True, kw_only=True)
class _News:
    """What the sources have beyond `data.through`.

    Attributes:
        batches: those that are over and there, in order; one that a source failed on is the last.
        unreadable: how it failed; None where none did.
        notes: why there are no more.
    """

    batches: tuple[str, ...]
    unreadable: str | None = None
    notes: tuple[str, ...] = ()


def _new_batches(project: Project, params: Params, now: datetime) -> _News:
    found: tuple[str, ...] = ()
    batch = params.data.through
    while len(found) < _MOST_BATCHES:
        batch = project.batches.following(batch)
        bounds = project.batches.bounds(batch)
        if bounds is not None:
            # The bounds are of the project's clocks, which may be hours from UTC: the margin is longer.
            whole = bounds[1].replace(tzinfo=UTC) + timedelta(hours=params.retraining.settle_hours)
            if now < whole:
                return _News(batches=found, notes=(f"{batch} is taken for whole from {whole:%Y-%m-%d %H:%M} UTC on",))
        # One that is not there anywhere is waited for, whatever other tables say of it.
        failed: list[str] = []
        for table in project.tables:
            if not table.batched:
                continue
            asked = ask_source(table, batch)
            if asked.absent is not None:
                return _News(batches=found, notes=(*failed, f"{table.name} {batch}: {asked.absent}"))
            if asked.failed is not None:
                failed.append(f"the source of {table.name} failed on {batch}: {asked.failed}")
            # Where batches have no time there is no end to asking for the next one.
            elif bounds is None and asked.frame is not None and asked.frame.is_empty():
                return _News(batches=found, notes=(*failed, f"{table.name} {batch} has no rows"))
        found = (*found, batch)
        if failed:
            return _News(batches=found, unreadable=failed[0], notes=tuple(failed))
    return _News(batches=found)


def _digest_of_data(project: Project, params: Params, news: _News) -> str:
    through = news.batches[-1] if news.batches else params.data.through
    fingerprints = {
        f"{table.name} {batch or ''}": _fingerprint(table, batch)
        for table in project.tables
        for batch in (batches_between(project.batches, params.data.first, through) if table.batched else [None])
    }
    # What cannot be read and what can are two things, although a server that was down left no trace in them.
    if news.unreadable is not None:
        fingerprints["unreadable"] = news.batches[-1]
    return digest_of_value(fingerprints)


def _fingerprint(table: Table, batch: str | None) -> str:
    try:
        return str(table.source.fingerprint(batch))
    except Exception as error:
        # What cannot be read now is found out when it is ingested.
        return f"unknown: {type(error).__name__}"
