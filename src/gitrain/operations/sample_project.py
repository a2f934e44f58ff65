"""A project on a sample of its rows: what `gitrain check integration` runs the pipeline with."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.data.contracts import TableContract
from gitrain.data.tables import Source
from gitrain.errors import UsageError
from gitrain.features.definitions import FeatureSet, RowFeature
from gitrain.features.history import readers
from gitrain.project import Project

__all__ = ["sample_project", "sampled_rows"]

# In a sample of some thousand rows a smaller share than this is a row or two more or less.
_LEAST_QUARANTINED_SHARE = 0.01


@dataclass(frozen=True)
class _EveryNth:
    """A source that leaves rows out."""

    source: Source
    every: int

    def fingerprint(self, batch: str | None) -> str:
        return f"{self.source.fingerprint(batch)}, 1 row of {self.every}"

    def read(self, batch: str | None) -> pl.DataFrame:
        frame = self.source.read(batch)
        return frame[sampled_rows(frame.height, self.every)]


def sample_project(project: Project, *, every: int) -> Project:
    """The project with one row of `every` in the table that predictions are made for; other tables stay whole.

    Of the contracts only what counts rows is eased: the numbers of rows are divided by `every`, the quarantined share
    of the sampled table is at least 1 %, and features that are made of the sampled rows' history may be null, since
    what is known of a group becomes thinner. All other rules hold as they are.

    Raises:
        UsageError: `every` is not positive.
    """
    if every < 1:
        raise UsageError(f"one row of {every} is no sample", fix="give a number of 1 or more.")
    if every == 1:
        return project
    entity = project.features.entity.table
    tables = tuple(
        replace(
            table,
            source=_EveryNth(table.source, every),
            contract=replace(
                _fewer_rows(table.contract, every),
                max_quarantined_share=max(table.contract.max_quarantined_share, _LEAST_QUARANTINED_SHARE),
            ),
        )
        if table.name == entity
        else table
        for table in project.tables
    )
    return replace(
        project,
        tables=tables,
        feature_contract=_thinner(_fewer_rows(project.feature_contract, every), project.features),
        prediction_contract=_fewer_rows(project.prediction_contract, every),
    )


def sampled_rows(height: int, every: int) -> NDArray[np.int64]:
    """The places of one row of `every`, ascending: always the same ones.

    One row is drawn of each run of `every` rows, so that they are spread over the batch, and no pattern in the order of
    rows (one row a shop, shop by shop) decides what stays. The last row stays: the sample is as fresh as the batch.
    """
    starts = np.arange(0, height, every)
    drawn = starts + np.random.default_rng(0).integers(0, every, len(starts))
    drawn[:1] = 0
    places: NDArray[np.int64] = height - 1 - np.minimum(drawn, height - 1)[::-1]
    return places


def _fewer_rows(contract: TableContract, every: int) -> TableContract:
    low, high = contract.rows
    return replace(contract, rows=(low // every, None if high is None else -(-high // every)))


def _thinner(contract: TableContract, features: FeatureSet) -> TableContract:
    """Features that look at the sampled table's history may be null, whatever their share."""
    names = [
        name
        for history in features.histories
        if history.table == features.entity.table
        for _, feature in readers(features, history.name)
        if not isinstance(feature, RowFeature)
        for name in (feature.names if hasattr(feature, "names") else feature.columns)
        if name in contract.schema.columns
    ]
    return replace(
        contract,
        schema=contract.schema.update_columns({name: {"nullable": True} for name in names}),
        max_null_share={**contract.max_null_share, **dict.fromkeys(names, 1.0)},
        warn_null_share={name: share for name, share in contract.warn_null_share.items() if name not in names},
    )
