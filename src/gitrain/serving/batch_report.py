"""What a batch prediction says of itself: `gitrain predict --json`."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Self

from pydantic import Field

from gitrain.data.validation_report import EXAMPLES, Finding, share_of
from gitrain.documents import Document, Section
from gitrain.verdicts import Outcome

__all__ = ["BatchReport", "PartSummary"]


class PartSummary(Section):
    """What is known of one part of the rows; written last, it says that the part is done.

    Attributes:
        rows: rows of the input.
        quarantined: rows among them that break the contract.
        findings: the rules that they break.
        decided: predicted rows whose decision is true.
        missing: by feature, predicted rows without a value.
        stale: by history, predicted rows for whose decision it was behind.
        newest: by history, when its newest row in the store became known (UTC); None where the store has none.
        digests: of the part's files, by what their names end in.
    """

    rows: int = Field(ge=0)
    quarantined: int = Field(ge=0)
    findings: tuple[Finding, ...]
    decided: int = Field(ge=0)
    missing: dict[str, int]
    stale: dict[str, int]
    newest: dict[str, datetime | None]
    digests: dict[str, str]

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


class BatchReport(Document):
    """The outcome of predicting a file.

    Attributes:
        project: the project's name.
        release: the version that predicted.
        outcome: FAILED if the file cannot be predicted as it is: then nothing is written.
        rows: rows of the input.
        predicted: rows that have a prediction.
        quarantined: rows that break the contract; they are beside the output, each with its reasons.
        findings: the rules that rows or the file break.
        decided: predicted rows whose decision is true.
        missing: by feature, predicted rows without a value; features that all rows have are left out.
        stale: by history, predicted rows for whose decision the store was behind; others are left out.
        newest: by history, when its newest row in the store became known (UTC); None where the store has none.
        input_digest: of the file that was read.
        output_digest: of the file that was written; None where none was.
    """

    project: str
    release: str
    outcome: Outcome
    rows: int = Field(ge=0)
    predicted: int = Field(ge=0)
    quarantined: int = Field(ge=0)
    findings: tuple[Finding, ...]
    decided: int = Field(ge=0)
    missing: dict[str, int]
    stale: dict[str, int]
    newest: dict[str, datetime | None]
    input_digest: str
    output_digest: str | None

    @classmethod
    def refused(cls, project: str, release: str, rows: int, findings: Sequence[Finding], *, input_digest: str) -> Self:
        """The report of a file whose columns are not those of the contract."""
        return cls(
            schema_version=1,
            project=project,
            release=release,
            outcome=Outcome.FAILED,
            rows=rows,
            predicted=0,
            quarantined=0,
            findings=tuple(findings),
            decided=0,
            missing={},
            stale={},
            newest={},
            input_digest=input_digest,
            output_digest=None,
        )

    @classmethod
    def of(
        cls, project: str, release: str, parts: Sequence[PartSummary], *, input_digest: str, output_digest: str
    ) -> Self:
        """The report of a file that was predicted, part by part."""
        rows, quarantined = sum(part.rows for part in parts), sum(part.quarantined for part in parts)
        newest: dict[str, datetime | None] = {}
        for part in parts:
            newest |= part.newest
        return cls(
            schema_version=1,
            project=project,
            release=release,
            outcome=Outcome.PASSED,
            rows=rows,
            predicted=rows - quarantined,
            quarantined=quarantined,
            findings=_merged([finding for part in parts for finding in part.findings], rows),
            decided=sum(part.decided for part in parts),
            missing=_summed(part.missing for part in parts),
            stale=_summed(part.stale for part in parts),
            newest=newest,
            input_digest=input_digest,
            output_digest=output_digest,
        )

    def to_json(self) -> str:
        """The report as text; equal reports give equal text."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return {name: count for name, count in sorted(total.items()) if count}


def _merged(findings: Sequence[Finding], rows: int) -> tuple[Finding, ...]:
    """One finding a rule over all parts, with the examples of the first."""
    merged: dict[tuple[str, tuple[str, ...], str], Finding] = {}
    for finding in findings:
        text = finding.message.partition(" the rule ")[2]
        key = (finding.rule, finding.columns, text)
        known = merged.get(key)
        merged[key] = finding if known is None else _added(known, finding, text)
    return tuple(each.model_copy(update={"share": share_of(each.count, rows)}) for each in merged.values())


def _added(known: Finding, more: Finding, text: str) -> Finding:
    count = known.count + more.count
    named = ", ".join(known.columns) or "the row"
    return known.model_copy(
        update={
            "count": count,
            "message": f"{named}: {count:,} rows break the rule {text}",
            "examples": (*known.examples, *more.examples)[:EXAMPLES],
        }
    )
