"""What validation says of tables and batches: findings with capped examples, and the report as JSON."""

import json
from collections.abc import Iterable
from typing import Literal, Self

import polars as pl
from pydantic import Field, model_validator

from gitrain.documents import Document, Section, parse_json
from gitrain.verdicts import Outcome, worst

__all__ = [
    "EXAMPLES",
    "LONGEST_VALUE",
    "BatchValidation",
    "Example",
    "Finding",
    "Severity",
    "ValidationReport",
    "counted_rows",
    "share_of",
    "shown",
]

# At most so many examples a finding, and so many characters a value: a report is read by people.
EXAMPLES = 5
LONGEST_VALUE = 80

Severity = Literal["fail", "quarantine", "warn"]


class Example(Section):
    """One value that breaks a rule.

    Attributes:
        value: the value, or the values that a rule reads, shortened.
        row: what identifies the row: its key, or its number from 0 where the contract has no key.
    """

    value: str
    row: dict[str, str] = Field(default_factory=dict)


class Finding(Section):
    """One rule that a batch breaks.

    Attributes:
        rule: the rule's name; the names are listed in docs/data-contract.md.
        severity: ``fail`` fails the batch, ``quarantine`` took rows out of it, ``warn`` changes nothing.
        columns: the columns that the rule reads.
        message: one sentence.
        count: how many rows break it; 0 where it is not about single rows.
        share: `count` over the rows of the batch.
        examples: at most five.
    """

    rule: str
    severity: Severity
    columns: tuple[str, ...] = ()
    message: str
    count: int = Field(default=0, ge=0)
    share: float = Field(default=0.0, ge=0, le=1)
    examples: tuple[Example, ...] = Field(default=(), max_length=EXAMPLES)


class BatchValidation(Section):
    """What validation says of one batch of one table.

    Attributes:
        table: the table's name.
        batch: the batch's name; None for a table that has no batches.
        outcome: FAILED if any finding fails the batch, else PASSED.
        rows: rows that were read.
        quarantined: rows among them that went to quarantine.
        findings: the rules that it breaks.
    """

    table: str
    batch: str | None
    outcome: Outcome
    rows: int = Field(ge=0)
    quarantined: int = Field(ge=0)
    findings: tuple[Finding, ...] = ()

    @model_validator(mode="after")
    def _outcome_follows_from_findings(self) -> Self:
        if self.outcome is not _outcome(self.findings):
            raise ValueError(f"outcome is {self.outcome.value}, and its findings say {_outcome(self.findings).value}")
        if self.quarantined > self.rows:
            raise ValueError(f"{self.quarantined} rows of {self.rows} are in quarantine")
        return self

    @classmethod
    def of(
        cls, table: str, batch: str | None, *, rows: int, quarantined: int, findings: Iterable[Finding]
    ) -> "BatchValidation":
        """The validation whose outcome follows from `findings`."""
        found = tuple(findings)
        return cls(
            table=table, batch=batch, outcome=_outcome(found), rows=rows, quarantined=quarantined, findings=found
        )

    @property
    def kept(self) -> int:
        """Rows that may be used if the batch passed."""
        return self.rows - self.quarantined

    @property
    def name(self) -> str:
        """The table and the batch, for messages."""
        return self.table if self.batch is None else f"{self.table} {self.batch}"


class ValidationReport(Document):
    """What validation says of all tables and batches: ``reports/validation.json``.

    Attributes:
        project: the project's name.
        outcome: PASSED if every batch passed, FAILED otherwise.
        batches: table by table, in the order of the project, and batch by batch.
    """

    project: str
    outcome: Outcome
    batches: tuple[BatchValidation, ...]

    @model_validator(mode="after")
    def _outcome_follows_from_batches(self) -> Self:
        expected = worst(batch.outcome for batch in self.batches)
        if self.outcome is not expected:
            raise ValueError(f"outcome is {self.outcome.value}, and its batches say {expected.value}")
        return self

    @classmethod
    def of(cls, project: str, batches: Iterable[BatchValidation]) -> "ValidationReport":
        """The report whose outcome follows from `batches`."""
        found = tuple(batches)
        return cls(schema_version=1, project=project, outcome=worst(each.outcome for each in found), batches=found)

    @classmethod
    def from_json(cls, text: str, *, source: str) -> "ValidationReport":
        """Read a report; `source` is the file's name in messages.

        Raises:
            SettingsError: not JSON, an unknown key, an impossible value, or an outcome that its parts contradict.
        """
        return parse_json(cls, text, source=source)

    def to_json(self) -> str:
        """The report as text; equal reports give equal text."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def shown(value: object) -> str:
    """A value as a report shows it: on one line, without control characters, at most 80 characters long."""
    if value is None:
        return "null"
    if isinstance(value, pl.Series):
        value = value.to_list()
    text = str(value)
    if isinstance(value, str) and (not text or text != text.strip()):
        text = f'"{text}"'
    # Cut before escaping too: a value may be megabytes long.
    cut = text[: LONGEST_VALUE + 1]
    visible = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut)
    return visible if len(visible) <= LONGEST_VALUE else visible[: LONGEST_VALUE - 1] + "…"


def counted_rows(count: int) -> str:
    """``1 row``, ``2 rows``."""
    return "1 row" if count == 1 else f"{count:,} rows"


def share_of(count: int, rows: int) -> float:
    """`count` over `rows` with six decimals; 0 for no rows."""
    return round(count / rows, 6) if rows else 0.0


def _outcome(findings: Iterable[Finding]) -> Outcome:
    return Outcome.FAILED if any(finding.severity == "fail" for finding in findings) else Outcome.PASSED
