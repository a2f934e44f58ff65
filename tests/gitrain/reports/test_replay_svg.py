import re
import xml.etree.ElementTree as ET

from tests.gitrain.reports.replayed import year

from gitrain.reports.replay_svg import render_replay_svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(report):
    # Our own text, not somebody's file.
    return ET.fromstring(render_replay_svg(report))  # noqa: S314


def named(root, kind, name):
    return [each for each in root.iter(f"{SVG}{kind}") if each.get("class") == name]


def test_every_batch_has_its_lines_and_its_word():
    root = drawn(year())
    words = [each.text for each in root.iter(f"{SVG}text")]

    assert [word for word in words if re.fullmatch(r"2013-\d\d", word)] == [
        f"2013-{month:02}" for month in range(4, 13)
    ]
    assert words.count("refused") == 6
    assert words.count("promoted") == 1
    assert words.count("same model") == 1
    assert words.count("waited") == 1
    # One a batch, and one in the legend.
    assert len(named(root, "line", "with")) == 10
    assert len(named(root, "line", "without")) == 10
    assert len(named(root, "circle", "candidate")) == 9


def test_lines_have_a_point_a_day():
    root = drawn(year())
    means = named(root, "path", "thin")

    assert [len(re.findall("[ML]", each.get("d"))) for each in means] == [120, 155]
    assert len(re.findall("M", named(root, "path", "gained")[0].get("d"))) == 155


def test_alarms_say_what_they_are():
    root = drawn(year())

    assert [each[0].text for each in named(root, "circle", "alarm")] == ["alarm: 1.0.0, 2013-07-10"]
    assert [each[0].text for each in named(root, "circle", "naive")] == ["alarm of the naive test: 1.0.0, 2013-05-31"]


def test_who_cannot_see_it_hears_it():
    root = drawn(year())

    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == "trips 2013-04 to 2013-12: 1 promoted, 6 refused"
    assert "2013-07: roc_auc 0.743 with the loop and 0.733 without, promoted" in root.find(f"{SVG}desc").text


def test_names_are_text_and_nothing_is_fetched():
    text = render_replay_svg(year(project="</title><script>alert(1)</script>"))

    assert "<script" not in text
    assert not re.search(r"(?:href|src|url\()", text)
    assert drawn(year(project="a & b < c")) is not None
