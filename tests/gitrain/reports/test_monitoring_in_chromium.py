"""The monitoring page in a real browser: no complaint on its console, the verdict there, a picture that is no blank."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from tests.gitrain.reports.monitored import CASES, VERSION, hostile
from tests.gitrain.reports.page import elements, parse_page

from gitrain.reports.monitoring_html import render_monitoring_html
from gitrain.reports.monitoring_style import COLOURS
from gitrain.reports.monitoring_words import words_of

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DARK = ("--blink-settings=preferredColorScheme=0",)
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
        timeout=120,
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
    picture = tmp_path / "page.png"

    run = browse(
        written(name), tmp_path / "profile", *options, f"--screenshot={picture}", f"--window-size={width},2400"
    )

    assert complaints(run) == []
    image = Image.open(picture).convert("RGB")
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


def test_a_printed_page_opens_what_is_folded(written, tmp_path):
    paper = tmp_path / "page.pdf"

    run = browse(written("alarmed"), tmp_path / "profile", f"--print-to-pdf={paper}", "--no-pdf-header-footer")

    assert complaints(run) == []
    assert paper.read_bytes().startswith(b"%PDF")
    # Folded away the tables of every day and look would leave half as many pages.
    pages = len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))
    assert pages >= 8
