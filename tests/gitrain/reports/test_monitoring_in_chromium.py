"""The monitoring page in a real browser: no complaint on its console, the verdict there, a picture that is no blank."""

import base64
import hashlib
import html
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.gitrain.reports.monitored import CASES, VERSION, hostile, huge
from tests.gitrain.reports.page import elements, parse_page

from gitrain.reports.monitoring_html import render_monitoring_html
from gitrain.reports.monitoring_style import COLOURS, STYLE, STYLE_SOURCE
from gitrain.reports.monitoring_words import words_of

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DARK = ("--blink-settings=preferredColorScheme=0",)
_UNFOLDED = "details::details-content{content-visibility:visible;height:auto}"
REPORTS = {**CASES, "hostile": hostile}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="there is no chromium, chromium-browser or google-chrome"),
]


def browse(page: Path, profile: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Open a page in a browser that starts from nothing, reaches no network, and ends."""
    assert BROWSER is not None
    fixed = (
        "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--force-device-scale-factor=1", "--enable-logging=stderr", "--v=0",
    )  # fmt: skip
    return subprocess.run(
        [BROWSER, *fixed, f"--user-data-dir={profile}", *options, page.as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HOME": str(profile)},
    )


def complaints(run: "subprocess.CompletedProcess[str]") -> list[str]:
    """What the page, not the browser, complains of."""
    return [line for line in run.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture
def written(tmp_path):
    def write(name: str) -> Path:
        path = tmp_path / f"{name}.html"
        path.write_text(render_monitoring_html(REPORTS[name](), version=VERSION), encoding="utf-8")
        return path

    return write


def test_a_complaint_would_be_seen(written, tmp_path):
    page = written("healthy")
    text = page.read_text(encoding="utf-8")
    page.write_text(
        text.replace("<main>", '<main><img src="data:image/png;base64,"><style>p{color:red}</style>'), "utf-8"
    )

    assert len(complaints(browse(page, tmp_path / "profile", "--dump-dom"))) >= 2


@pytest.mark.parametrize("name", REPORTS)
def test_the_browser_sees_what_was_written(written, tmp_path, name):
    page = written(name)

    run = browse(page, tmp_path / "profile", "--dump-dom")

    assert complaints(run) == []
    meant = [node.name for node in elements(parse_page(page.read_text(encoding="utf-8")))]
    # The browser writes `<path></path>`, and is otherwise to have understood the page as it was meant.
    seen = re.findall(r"<([a-z][a-z0-9]*)[\s>]", run.stdout)
    assert [tag.lower() for tag in seen] == meant
    (title,) = re.findall(r"<h1>(.*?)</h1>", run.stdout)
    assert title == words_of(REPORTS[name]()).title


@pytest.mark.parametrize(
    ("name", "width", "options", "scheme"),
    [("alarmed", 1280, (), 0), ("alarmed", 500, (), 0), ("healthy", 1280, DARK, 1), ("unlabelled", 500, DARK, 1)],
)
def test_the_picture_shows_the_verdict_and_the_charts(written, tmp_path, name, width, options, scheme):
    # The wheel's own environment has no pillow.
    images = pytest.importorskip("PIL.Image")
    picture = tmp_path / "page.png"

    run = browse(
        written(name), tmp_path / "profile", *options, f"--screenshot={picture}", f"--window-size={width},2400"
    )

    assert complaints(run) == []
    image = images.open(picture).convert("RGB")
    assert image.size == (width, 2400)
    found = image.getcolors(maxcolors=width * 2400) or []
    colours = {colour: number for number, colour in found}
    share = {key: colours.get(rgb(COLOURS[key][scheme]), 0) / (width * 2400) for key in COLOURS}
    tone = REPORTS[name]().outcome.value.lower()
    # Style, cards, banner and lines are there, in the colours of this scheme.
    assert share["ground"] + share["card"] > 0.5
    assert share[f"{tone}-tint"] > 0.01
    assert share[tone] > 0.0005
    assert len(colours) > 100


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))


def printed_pages(page: Path, profile: Path) -> int:
    paper = page.with_suffix(".pdf")
    assert complaints(browse(page, profile, f"--print-to-pdf={paper}", "--no-pdf-header-footer")) == []
    return len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))


def test_paper_shows_what_is_folded_but_not_the_figures_of_every_day(tmp_path):
    # Much that is folded, and little else.
    few = huge()
    few = few.model_copy(update={"days": few.days[:60], "sequences": (), "slices": (), "features": few.features[:110]})
    text = render_monitoring_html(few, version=VERSION)
    pages = {}
    for name, rule in (("as it is", ""), ("all", ".screen{display:none}"), ("folded", _UNFOLDED)):
        style = STYLE.replace(rule, "", 1)
        changed = text.replace(STYLE, style).replace(html.escape(STYLE_SOURCE), html.escape(source_of(style)))
        assert (changed == text) is (rule == "")
        path = tmp_path / f"{name}.html"
        path.write_text(changed, encoding="utf-8")
        pages[name] = printed_pages(path, tmp_path / f"profile of {name}")

    assert pages["all"] > pages["as it is"]
    assert pages["folded"] < pages["as it is"]


def source_of(style: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"
