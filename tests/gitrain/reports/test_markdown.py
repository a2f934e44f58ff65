import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from gitrain.reports.markdown import escape, format_figure, table

# GitHub's Markdown: tables, strikethrough and bare links on top of CommonMark.
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
TEXT = st.text(alphabet=st.sampled_from(list("aB1_*`~[]()<>#|\\&;:@!+-=.$'\"\n\t /{}wht ps")), max_size=60)


def cells(markdown):
    """The token types and texts of all cells of a rendered table."""
    inside, found = False, []
    for token in MARKDOWN.parse(markdown):
        if token.type == "td_open":
            inside = True
        elif token.type == "inline" and inside:
            found.append([(child.type, child.content) for child in token.children or ()])
            inside = False
    return found


@given(TEXT)
@example("[click](javascript:alert(1))")
@example("<img src=x onerror=alert(1)>")
@example("a | b\n| --- | --- |\n| c | d |")
@example("`code` **bold** ~~gone~~ _it_")
@example("&lt;b&gt;")
@example("\\|")
def test_a_hostile_cell_stays_one_cell_of_plain_text(value):
    [first, second] = cells(table(("a", "b"), [(escape(value), "end")]))

    assert [kind for kind, _ in second] == ["text"]
    assert all(kind in ("text", "text_special") for kind, _ in first)
    shown = "".join(content for _, content in first)
    assert shown.replace("\u200b", "").split() == value.split()


@given(TEXT)
def test_a_hostile_line_stays_one_paragraph(value):
    kinds = {token.type for token in MARKDOWN.parse(escape(value))}

    assert kinds <= {"paragraph_open", "inline", "paragraph_close"}


@pytest.mark.parametrize("value", ["@everyone", "mail a@b.example", "https://evil.example", "www.evil.example"])
def test_nobody_is_mentioned_and_nothing_is_linked_without_markup(value):
    assert value not in escape(value)
    assert escape(value).replace("\u200b", "") == value


def test_what_cannot_be_seen_cannot_reorder_the_text():
    assert escape("a\u202eb\u200bc\x00d\r\ne") == "a b c d e"


def test_long_values_are_shortened():
    assert escape("x" * 500, longest=10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (True, "yes"),
        (336776, "336,776"),
        (0.75512, "0.7551"),
        (123456.7, "123,457"),
        (float("nan"), "nan"),
        ("a|b", "a\\|b"),
    ],
)
def test_figures_are_short(value, shown):
    assert format_figure(value) == shown


def test_columns_are_aligned():
    assert table(("a", "b"), [("x", "1")], right=[1]) == "| a | b |\n| --- | ---: |\n| x | 1 |"
