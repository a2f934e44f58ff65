"""Requests: from the bytes of a body to rows that keep the data contract, or to what is wrong with it.

The contract of the entity's table is the one definition: of what is accepted, of the JSON schema and of the words in
which a problem is told. A row is accepted exactly if the contract keeps it, as far as what is known in advance goes.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Self

import pandera.polars as pa
import polars as pl
from pydantic import TypeAdapter, ValidationError

from gitrain.data.contracts import TableContract
from gitrain.data.row_checks import judge_rows
from gitrain.errors import ProjectError
from gitrain.features.definitions import Entity
from gitrain.lineage import digest_of_value
from gitrain.online.given_rows import GivenRows, RowSchema
from gitrain.serving.fields import RequestField, request_field
from gitrain.serving.problems import MOST_TOLD, Problem, Rejection, refused, shown_as_json
from gitrain.serving.row_rules import RowRules, plain
from gitrain.serving.stray_keys import read_again, stray_keys

__all__ = ["Problem", "Rejection", "RequestSchema", "Row", "known_contract"]

#: A row of a request: values of `known_in_advance` as Python has them (date, datetime, str, int, float, bool, None).
Row = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MOST_BYTES = 512 * 1024
# A body has one object a row, and two more brackets; what has many more is looked at before pydantic does.
_MANY_BRACKETS = 100


class _Schema:
    """Hands a schema of pydantic's core to a `TypeAdapter`: columns may have names that no Python class could."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> Any:
        return self._schema


def known_contract(entity: Entity, contract: TableContract, *more: str) -> TableContract:
    """The part of a table's contract that speaks of rows before their outcome.

    Args:
        entity: of the table.
        contract: of the table.
        more: columns that stay besides those known in advance.

    Returns:
        A contract over `known_in_advance` and `more`: their columns, and the row rules that read no others. What
        it says of batches (keys, shares, times) is left out.
    """
    names = list(dict.fromkeys((*entity.known_in_advance, *more)))
    columns = contract.schema.columns
    return TableContract(
        schema=pa.DataFrameSchema({name: columns[name] for name in names}),
        row_rules={
            name: rule for name, rule in contract.row_rules.items() if set(rule.meta.root_names()) <= set(names)
        },
        max_null_share=dict.fromkeys(names, 1.0),
        rows=(0, None),
        max_quarantined_share=1.0,
        non_finite=[name for name in contract.non_finite if name in names],
    )


class RequestSchema:
    """What a request for predictions must be like: ``{"TABLE": [{...}, ...]}``.

    Attributes:
        table: the entity's table, the one key of the body.
        max_rows: of one request.
        max_bytes: of its body.
    """

    def __init__(
        self, table: str, fields: Sequence[RequestField], contract: TableContract, *, max_rows: int, max_bytes: int
    ) -> None:
        self.table = table
        self.max_rows = max_rows
        self.max_bytes = max_bytes
        self._fields = {field.name: field for field in fields}
        self._row_schema = RowSchema({name: contract.dtypes[name] for name in self._fields})
        self._validate = _validator(table, fields, max_rows)
        self._names = tuple(self._fields)
        self._known = frozenset(self._fields)
        self._width = len(fields)
        self._may_be_null = tuple(field.name for field in fields if field.nullable)
        self._quotes = 2 * len(fields) + 2 * sum(field.quoted for field in fields)
        self._nullable_texts = tuple(field.name for field in fields if field.nullable and field.quoted)
        self._rules = RowRules(contract)
        self._left = _left(contract, fields)

    @classmethod
    def of(cls, entity: Entity, contract: TableContract, *, max_rows: int = 1000, max_bytes: int = _MOST_BYTES) -> Self:
        """The schema of requests for predictions of an entity.

        Args:
            entity: what is predicted.
            contract: of its table.
            max_rows: the most rows of one request.
            max_bytes: the most bytes of its body.

        Raises:
            ProjectError: a column that is known in advance has a type that no request can hold, or a pattern that is
                no regular expression.
        """
        known = known_contract(entity, contract)
        columns, dtypes = contract.schema.columns, contract.dtypes
        fields = [request_field(name, columns[name], dtypes[name]) for name in known.schema.columns]
        return cls(entity.table, fields, known, max_rows=max_rows, max_bytes=max_bytes)

    def parse(self, body: bytes) -> list[Row] | Rejection:
        """The rows of a body, or why it is refused. It raises nothing, whatever the bytes.

        What is refused: anything but an object with the one key of the table, an unknown field, a field that stands
        twice, a missing one (unless it may be null: then it is null), a value of another type, NaN and infinity, and a
        value that breaks a check of the contract that JSON schema can say. `rejected` judges the rest.
        """
        if len(body) > self.max_bytes:
            return refused(413, Problem(field="", reason=f"must not be longer than {self.max_bytes:,} bytes"))
        if body.count(b"[") + body.count(b"{") > _MANY_BRACKETS + self.max_rows:
            nested = self._nested(body)
            if nested is not None:
                return nested
        try:
            found = self._validate(body)
        except ValidationError as error:
            return self._explain(error, body)
        rows: list[Row] = found[self.table]
        # Exact, and next to nothing: among known keys, one that stands twice has two quotation marks more than its row
        # needs. A text with quotation marks of its own is looked at more closely, too.
        quotes = 2 + len(rows) * self._quotes
        if self._may_be_null:
            quotes -= sum(map(self._absent_quotes, rows))
        whole = all(len(row) == self._width and self._known.issuperset(row) for row in rows)
        if len(found) != 1 or body.count(b'"') != quotes or not whole:
            problems = self._strays(read_again(body))
            if problems:
                return refused(422, *problems)
            for row in rows:
                for name in self._may_be_null:
                    row.setdefault(name)
        return rows

    def given(self, rows: Sequence[Row]) -> GivenRows:
        """The rows as look-ups take them: the columns known in advance, with the contract's types."""
        return GivenRows(rows, self._row_schema)

    def frame(self, rows: Sequence[Row]) -> pl.DataFrame:
        """The rows as a frame."""
        return self.given(rows).frame

    def rejected(self, rows: pl.DataFrame | GivenRows) -> list[tuple[Problem, ...]]:
        """What the rest of the contract says of each row: checks that JSON schema has no word for, and row rules.

        Args:
            rows: that `given` or `frame` made; those of several requests at once cost little more than one.

        Returns:
            For each row what is wrong with it, mostly nothing; `field` is the column, or empty where several are to
            blame. `located` completes it.
        """
        rows = GivenRows.of(rows)
        found: list[tuple[Problem, ...]] = [()] * rows.height
        if self._left is not None and rows.height:
            frame = rows.frame
            for broken in judge_rows(frame, self._left, frame.columns).broken:
                if broken.warns:
                    continue
                name = broken.columns[0]
                for index in broken.broken.arg_true().to_list():
                    value = shown_as_json(plain(frame[name][index]))
                    found[index] += (Problem(field=name, reason=f"must keep {broken.text}", value=value),)
        for index, told in self._rules.broken(rows).items():
            found[index] += told
        return found

    def located(self, row: int, problem: Problem) -> Problem:
        """A problem of `rejected` with its place in a request: ``dest`` of row 3 becomes ``flights[3].dest``."""
        place = f"{self.table}[{row}]"
        return replace(problem, field=f"{place}.{problem.field}" if problem.field else place)

    def json_schema(self, *, examples: Sequence[Row] = ()) -> dict[str, Any]:
        """The JSON schema (2020-12) of a body.

        Args:
            examples: rows as JSON has them, such as the inputs of known answers.
        """
        row: dict[str, Any] = {
            "type": "object",
            "additionalProperties": False,
            "required": [name for name, field in self._fields.items() if not field.nullable],
            "properties": {name: field.json_schema for name, field in self._fields.items()},
        }
        if self._rules.names:
            row["description"] = f"Every row keeps: {'; '.join(self._rules.names)}."
        schema: dict[str, Any] = {
            "$schema": _DIALECT,
            "title": f"A request for predictions of {self.table}",
            "type": "object",
            "additionalProperties": False,
            "required": [self.table],
            "properties": {self.table: {"type": "array", "minItems": 1, "maxItems": self.max_rows, "items": row}},
        }
        if examples:
            schema["examples"] = [{self.table: [dict(example)]} for example in examples]
        return schema

    @cached_property
    def digest(self) -> str:
        """Of the JSON schema without examples: it changes when a request may be other than before."""
        return digest_of_value(self.json_schema())

    def _absent_quotes(self, row: Row) -> int:
        """How many quotation marks fewer a row has than one with all its fields."""
        nulls = sum(row.get(name) is None for name in self._nullable_texts)
        return 2 * (self._width - len(row)) + 2 * nulls

    def _explain(self, error: ValidationError, body: bytes) -> Rejection:
        # Their inputs are left out: of a hostile body each of them may be all of it.
        details = error.errors(include_url=False, include_input=False)
        first = details[0]
        kind, where = first["type"], first["loc"]
        if kind == "json_invalid":
            said = first.get("ctx", {}).get("error", first["msg"])
            return refused(400, Problem(field="", reason=f"must be JSON: {said}"))
        if not where:
            return refused(400, Problem(field="", reason=f"must be an object with the key {self.table!r}"))
        if kind == "too_long":
            return self._too_long()
        if kind == "too_short":
            return refused(422, Problem(field=self.table, reason="must have at least one row"))
        payload = read_again(body)
        strays = self._strays(payload)
        if len(where) == 1:
            if kind == "missing":
                return refused(400, Problem(field=self.table, reason="is missing"), *strays)
            value = _shown_at(payload, where)
            return refused(400, Problem(field=self.table, reason="must be an array of rows", value=value))
        told = [self._problem(detail["type"], detail["loc"], payload) for detail in details[: MOST_TOLD + 1]]
        return refused(422, *strays, *told, more=len(details) - len(told))

    def _problem(self, kind: str, where: tuple[int | str, ...], payload: Any) -> Problem:
        place = f"{self.table}[{where[1]}]"
        if len(where) == 2:
            return Problem(field=place, reason="must be an object", value=_shown_at(payload, where))
        name = str(where[2])
        expected = self._fields[name].expected
        if kind == "missing":
            return Problem(field=f"{place}.{name}", reason=f"is missing; it must be {expected}")
        return Problem(field=f"{place}.{name}", reason=f"must be {expected}", value=_shown_at(payload, where[:3]))

    def _nested(self, body: bytes) -> Rejection | None:
        """Why a body with many lists and objects is refused; None where they are brackets in texts.

        pydantic takes a second for half a megabyte of empty lists, Python's reader a hundredth of it.
        """
        payload = read_again(body)
        rows = payload.get(self.table) if isinstance(payload, dict) else None
        if not isinstance(rows, list):
            # Refused in any case: by its shape, which says enough.
            return refused(
                400, Problem(field="", reason=f"must be an object with the key {self.table!r} and rows in it")
            )
        if len(rows) > self.max_rows:
            return self._too_long()
        nested = self._strays(payload)
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                nested.append(self._problem("", (self.table, index), payload))
                continue
            for name, value in row.items():
                if isinstance(value, list | dict) and name in self._fields:
                    nested.append(self._problem("", (self.table, index, name), payload))
        return refused(422, *nested) if nested else None

    def _too_long(self) -> Rejection:
        reason = f"must not have more than {self.max_rows:,} rows"
        return refused(413, Problem(field=self.table, reason=reason))

    def _strays(self, payload: Any) -> list[Problem]:
        return stray_keys(payload, self.table, self._names, max_rows=self.max_rows)


def _shown_at(payload: Any, where: tuple[int | str, ...]) -> str:
    for step in where:
        payload = payload[step]
    return shown_as_json(payload)


def _validator(table: str, fields: Sequence[RequestField], max_rows: int) -> Any:
    row = {
        "type": "typed-dict",
        # Unknown keys are let in and found by counting: told one by one, a body of nothing else would take seconds.
        "extra_behavior": "allow",
        "fields": {
            field.name: {"type": "typed-dict-field", "schema": field.validator, "required": not field.nullable}
            for field in fields
        },
    }
    body = {
        "type": "typed-dict",
        "extra_behavior": "allow",
        "fields": {
            table: {
                "type": "typed-dict-field",
                "schema": {"type": "list", "items_schema": row, "min_length": 1, "max_length": max_rows},
                "required": True,
            }
        },
    }
    for field in fields:
        _compiled(field.validator, f"the contract of column {field.name!r}")
    return _compiled(body, f"the contract of table {table!r}")


def _compiled(schema: dict[str, Any], owner: str) -> Any:
    try:
        return TypeAdapter(Annotated[Any, _Schema(schema)]).validator.validate_json
    except Exception as error:
        raise ProjectError(
            f"{owner} cannot judge requests: {' '.join(str(error).split())[:300]}",
            fix="correct its checks; patterns are those of Rust's regex crate, as in Polars.",
        ) from error


def _left(contract: TableContract, fields: Sequence[RequestField]) -> TableContract | None:
    """The contract of what the validator leaves; None where it leaves nothing."""
    columns = {}
    for field in fields:
        if field.left:
            column = contract.schema.columns[field.name]
            columns[field.name] = pa.Column(column.dtype, list(field.left), nullable=column.nullable)
    if not columns:
        return None
    return TableContract(
        schema=pa.DataFrameSchema(columns), non_finite=[name for name in contract.non_finite if name in columns]
    )
