"""What a monitoring report says in words: a title, why, and what to do. Plain text: every renderer escapes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from gitrain.monitoring.report import FAMILIES, Family, LookSequence, MonitoringReport, SliceRow, family_of
from gitrain.release.record import RecordedVerdict
from gitrain.verdicts import Outcome

__all__ = [
    "FAMILY_WORDS",
    "QUANTITIES",
    "Words",
    "alarmed_slices",
    "day_name",
    "mean_loss",
    "moved_of",
    "ordered_families",
    "ordered_verdicts",
    "overall_sequences",
    "percent",
    "quantity",
    "recent_span",
    "slice_name",
    "span",
    "words_of",
]

#: What each family asks.
FAMILY_WORDS: Mapping[Family, str] = MappingProxyType(
    {
        "service": "Does the service answer as it should?",
        "data": "Is what comes in as agreed, and do labels come?",
        "skew": "Are features computed as in training?",
        "performance": "Is the model as good as on the holdout?",
        "calibration": "Do probabilities mean what they say?",
        "drift": "Is the data like that of training?",
    }
)

#: What is tested, by family.
QUANTITIES: Mapping[str, str] = MappingProxyType(
    {"performance": "relative loss", "calibration": "share of positives less mean probability"}
)

_TITLES: Mapping[str, str] = {
    "performance": "the model has become worse",
    "skew": "serving and training compute features differently",
    "data": "the data is not as agreed",
    "service": "the service is not well",
    "calibration": "probabilities are off",
    "drift": "the data has drifted",
}
# The first that failed is the title: what it costs, and who has to act.
_URGENCY = tuple(_TITLES)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_REASONS = 3
_NO_BREAK = "\u00a0"


@dataclass(frozen=True, kw_only=True)
class Words:
    """What is said first.

    Attributes:
        title: the verdict in a few words.
        lead: why, a sentence each.
        advice: what to do, the first first; a command stands between backticks.
    """

    title: str
    lead: tuple[str, ...]
    advice: tuple[str, ...]


def words_of(report: MonitoringReport) -> Words:
    """The verdict of a report in words."""
    families = [family for family in _URGENCY if _outcome(report, family) is report.outcome]
    deciding = [family for family in families if family in report.decides]
    if report.outcome is Outcome.FAILED:
        others = len(deciding) - 1
        more = f" (and {others} more {'alarm' if others == 1 else 'alarms'})" if others else ""
        title = f"Alarm: {_TITLES[deciding[0]]}{more}"
    elif report.outcome is Outcome.ERROR:
        title = "Monitoring could not judge"
    elif report.outcome is Outcome.INCONCLUSIVE:
        title = "No verdict yet"
    else:
        title = "Healthy"
    return Words(title=title, lead=tuple(_lead(report, deciding)), advice=tuple(_advice(report)))


def _lead(report: MonitoringReport, deciding: Sequence[str]) -> list[str]:
    if report.outcome is not Outcome.PASSED:
        # One reason a family: the second group that became worse is no news beside a broken contract.
        first = {family_of(each.name): f"{each.name}: {each.reason}" for each in reversed(_worst(report))}
        reasons = [_sentence(first[family]) for family in deciding if family in first]
        if not reasons:
            return ["Nothing of what decides was judged."]
        shown = reasons[:_REASONS]
        more = len(_worst(report)) - len(shown)
        ending = f"{more:,} more {'verdict is' if more == 1 else 'verdicts are'} {report.outcome.value}."
        return [*shown, ending] if more > 0 else shown
    labels = report.labels
    came = "" if labels.coverage is None else f", and {percent(labels.coverage)} of the outcomes that are due have come"
    said = [f"{labels.predictions:,} predictions{came}. Nothing that decides has become worse."]
    if any(feature.moved for feature in report.features):
        said.append(f"{moved_of(report)} moved, and the model copes so far.")
    return said


def _advice(report: MonitoringReport) -> list[str]:
    failed = {family for family in FAMILIES if _outcome(report, family) is Outcome.FAILED}
    environment = _plain(report.environment)
    advice = []
    # A retrained model does not mend what is broken before or behind it: that comes first.
    if "skew" in failed:
        advice.append(
            "Find out which side computes features wrongly: the log is compared with the code of this commit, "
            "and an online store that is behind differs too. Retraining does not mend it."
        )
    if "data" in failed:
        advice.append("Mend the source of the data, or change the contract in a pull request if the world has changed.")
    if "service" in failed:
        advice.append(f"Look at the replicas: `gitrain env list`, `gitrain deploy plan {environment}`.")
    if "performance" in failed:
        advice.append("See whether a retrained model would help: `gitrain retrain plan`, then `gitrain retrain open`.")
        newest = report.releases[-1] if len(report.releases) > 1 else None
        if newest is not None and newest.version == _judged_release(report):
            advice.append(
                f"If it began with release {_plain(newest.version)} ({newest.first:%Y-%m-%d %H:%M} UTC), go back: "
                f"`gitrain env rollback {environment}`."
            )
        if any(each.moved for each in report.features):
            advice.append(
                "The distributions that moved tell where to look: first for a fault, then for a change of the world."
            )
    if "calibration" in failed and "performance" not in failed:
        advice.append(
            "Rates have shifted; decisions by a fixed threshold shift with them. Newer training data mends it."
        )
    if failed == {"drift"}:
        advice.append("Look at what moved. Drift alone is no reason to retrain as long as performance holds.")
    if _outcome(report, "performance") is Outcome.INCONCLUSIVE:
        mature = report.labels.mature
        advice.append(
            "See why labels do not come; until they do, nobody knows how good the model is."
            if mature and report.labels.labelled < mature
            else "Wait for more labels: there are too few to say anything of performance."
        )
    if any(each.outcome == "ERROR" for each in report.verdicts):
        advice.append("Mend what could not be judged, and run `gitrain monitor run` again.")
    return advice or ["Nothing."]


def ordered_families(report: MonitoringReport) -> list[Family]:
    """Those that decide first, and of these what costs most."""
    return sorted(FAMILIES, key=lambda each: (each not in report.decides, _URGENCY.index(each)))


def ordered_verdicts(report: MonitoringReport) -> list[RecordedVerdict]:
    """All verdicts: those that decide first, and of these what is worst; the order of the report otherwise."""
    severity = ("ERROR", "FAILED", "INCONCLUSIVE", "PASSED")
    return sorted(
        report.verdicts, key=lambda each: (family_of(each.name) not in report.decides, severity.index(each.outcome))
    )


def overall_sequences(report: MonitoringReport) -> list[LookSequence]:
    """Those that are about all predictions of a release, and not about one group of a slice.

    By family, of the release that is judged first, then of the newest.
    """
    found = [each for each in report.sequences if each.looks and "=" not in each.name]
    order = {family: place for place, family in enumerate(_URGENCY)}
    age = {each.version: -place for place, each in enumerate(report.releases)}
    age[_judged_release(report)] = -len(age)
    return sorted(found, key=lambda each: (order.get(family_of(each.name), len(order)), age.get(each.release, 1)))


def _judged_release(report: MonitoringReport) -> str:
    """The release that the verdicts are about; one that was withdrawn may have begun to answer later."""
    named = (each.figures.get("release") for each in report.verdicts)
    newest = report.releases[-1].version if report.releases else ""
    return next((each for each in named if isinstance(each, str)), newest)


def moved_of(report: MonitoringReport) -> str:
    """How many distributions moved, of how many, up to the verb: `2 of 36 distributions have`."""
    moved = sum(each.moved for each in report.features)
    return f"{moved or 'None'} of {len(report.features)} distributions {'have' if moved > 1 else 'has'}"


def quantity(name: str) -> str:
    """What the sequence of this name is the mean of."""
    if name == "calibration:overestimates":
        return "mean probability less share of positives"
    return QUANTITIES.get(family_of(name), "what is tested")


def alarmed_slices(report: MonitoringReport) -> list[SliceRow]:
    """Groups whose mean lies above their alarm line with certainty, the worst first."""
    found = [
        (each.excess_low - each.threshold, each)
        for each in report.slices
        if each.judged
        and each.excess_low is not None
        and each.threshold is not None
        and each.excess_low > each.threshold
    ]
    return [each for _, each in sorted(found, key=lambda pair: -pair[0])]


def mean_loss(report: MonitoringReport) -> tuple[float | None, float | None]:
    """The mean loss over all rows with a label, and that of knowing only each unit's share of positives."""
    labelled = [(each.labelled, each.loss) for each in report.days if each.loss is not None and each.labelled]
    based = [(each.labelled, each.base_loss) for each in report.days if each.base_loss is not None and each.labelled]
    return _mean(labelled), _mean(based)


def slice_name(row: SliceRow) -> str:
    """A group with its slice."""
    return f"{row.slice} = {'(no value)' if row.group is None else row.group}"


def percent(share: float | None, *, digits: int = 1) -> str:
    """A share as per cent; a dash for what is not known."""
    return "–" if share is None else f"{100 * share:.{digits}f}{_NO_BREAK}%"


def span(report: MonitoringReport) -> str:
    """The window in words, UTC."""
    window = report.window
    # Of a few hours the dates alone say nothing.
    clock = " %H:%M" if window.through - window.since < timedelta(days=3) else ""
    units = f"{window.days:,} {report.unit}{'' if window.days == 1 else 's'}"
    return f"{window.since:%Y-%m-%d{clock}} to {window.through:%Y-%m-%d{clock}} ({units})"


def recent_span(report: MonitoringReport) -> str | None:
    """The last days, by which service, data and drift are judged, in words, UTC; None where the window is."""
    recent = report.recent
    if recent is None:
        return None
    first, last = f"{recent.since:%Y-%m-%d}", f"{recent.through:%Y-%m-%d}"
    predictions = f"{recent.predictions:,} prediction{'' if recent.predictions == 1 else 's'}"
    return f"{first if first == last else f'{first} to {last}'} ({predictions})"


def day_name(unit: str) -> str:
    """The name of a unit as an axis has room for it: `4 Oct` for 2013-10-04, else its first characters."""
    parts = unit.split("-")
    if len(unit) == 10 and len(parts) == 3 and all(part.isdecimal() for part in parts) and 1 <= int(parts[1]) <= 12:
        return f"{int(parts[2])} {_MONTHS[int(parts[1]) - 1]}"
    return unit if len(unit) <= 10 else unit[:9] + "…"


def _outcome(report: MonitoringReport, family: str) -> Outcome | None:
    """The worst outcome of a family; None where it said nothing."""
    found = [each for each in FAMILIES if each == family and report.family(each)]
    return report.outcome_of_family(found[0]) if found else None


def _worst(report: MonitoringReport) -> list[RecordedVerdict]:
    """The verdicts that the outcome is made of."""
    return [
        each
        for each in report.verdicts
        if family_of(each.name) in report.decides and each.outcome == report.outcome.value
    ]


def _mean(weighted: Sequence[tuple[int, float]]) -> float | None:
    total = sum(weight for weight, _ in weighted)
    return sum(weight * value for weight, value in weighted) / total if total else None


def _plain(name: str) -> str:
    """A name without backticks: only our own words are commands to copy."""
    return name.replace("`", "'")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
