"""What a materialisation did as Markdown."""

from gitrain.online.materialization import Materialization
from gitrain.online.state import EVERYTHING, moment
from gitrain.reports.markdown import escape, table

__all__ = ["render_materialization"]


def render_materialization(done: Materialization) -> str:
    """One line a history: what was read, and what is held now."""
    where = escape(done.store, longest=300)
    if not done.histories:
        return f"The features read no history: nothing is stored in {where}.\n"
    rows = [
        (
            escape(each.history),
            escape(", ".join(each.read) or "–"),
            escape(", ".join(each.kept) or "–"),
            escape(", ".join(each.removed) or "–"),
            f"{each.rows:,}",
            "its start" if each.held_from == EVERYTHING else _time(each.held_from),
            "–" if each.newest is None else _time(each.newest),
        )
        for each in done.histories
    ]
    header = ("history", "read", "as before", "removed", "rows", "held from (UTC)", "newest (UTC)")
    said = "Written to" if done.changed else "Nothing to do in"
    return f"{said} {where}\n\n{table(header, rows, right=(4,))}\n"


def _time(microseconds: int) -> str:
    return f"{moment(microseconds):%Y-%m-%d %H:%M}"
