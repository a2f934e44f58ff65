from pathlib import Path

from tests.gitrain.features.parcels import MONTHS, TAKING, Shop, shop

from gitrain.features.partitions import Partitions
from gitrain.operations.build_features import partitions_of


def parts(tmp_path: Path) -> tuple[Shop, Partitions]:
    made = shop(tmp_path)
    return made, partitions_of(made.stage(through=MONTHS[4]))


def test_a_batch_needs_itself_the_month_before_and_the_whole_of_a_table_without_batches(tmp_path):
    _, partitions = parts(tmp_path)
    needed = partitions.needed(MONTHS[:3], partitions.decisions(MONTHS[2]))
    assert needed == {"arrivals": ["2024-02", "2024-03"], "tariffs": [None]}
    assert partitions.paths(needed) == {
        "arrivals": ["data/validated/parcels/2024-02.parquet", "data/validated/parcels/2024-03.parquet"],
        "tariffs": ["data/validated/tariffs/all.parquet"],
    }


def test_what_the_next_batch_does_not_need_is_let_go(tmp_path):
    """Files are gone after they were read: what is still there was kept."""
    made, partitions = parts(tmp_path)
    first: dict[str, list[str | None]] = {"arrivals": [MONTHS[0], MONTHS[1]], "tariffs": [None]}
    second: dict[str, list[str | None]] = {"arrivals": [MONTHS[1], MONTHS[2]], "tariffs": [None]}
    before = partitions.histories(first)
    made.write(MONTHS[0], made.workspace.read_table(f"data/validated/parcels/{MONTHS[0]}.parquet").head(1))
    made.write(MONTHS[1], made.workspace.read_table(f"data/validated/parcels/{MONTHS[1]}.parquet").head(1))
    assert partitions.histories(first)["arrivals"].equals(before["arrivals"])
    assert partitions.histories(second)["arrivals"].height > 200
    # The second month was kept all along; the first was let go and now comes from its file of one row.
    assert partitions.histories(first)["arrivals"].height < before["arrivals"].height - 100


def test_rows_to_predict_come_without_outcomes(tmp_path):
    _, partitions = parts(tmp_path)
    known = ["parcel", "depot", "lane", "sent", "weight"]
    assert partitions.entity_rows(MONTHS[0]).columns == known
    assert partitions.entity_rows(MONTHS[0], *TAKING.meta.root_names()).columns == [*known, "arrived"]
