import pytest
from pydantic import Field

from gitrain.documents import Document, Section, parse_json, parse_yaml
from gitrain.errors import SettingsError


class Inner(Section):
    threshold: float = Field(ge=0)


class Outer(Document):
    inner: Inner
    by_name: dict[str, Inner] = Field(default_factory=dict)
    several: list[Inner] = Field(default_factory=list)


GOOD = "schema_version: 1\ninner: {threshold: 0.5}\n"


def test_a_good_file_is_read():
    assert parse_yaml(Outer, GOOD, source="f.yaml").inner.threshold == 0.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD + "iner: 1\n", ("unknown key 'iner'", "did you mean 'inner'?")),
        (GOOD.replace("threshold", "treshold"), ("unknown key 'inner.treshold'", "did you mean 'threshold'?")),
        (GOOD + "by_name: {a: {treshold: 1}}\n", ("'by_name.a.treshold'", "'threshold'")),
        (GOOD + "several: [{threshold: 1, tresh: 2}]\n", ("'several.0.tresh'", "'threshold'")),
        ("schema_version: 1\n", ("'inner' is missing", "add 'inner' to f.yaml")),
        (GOOD.replace("0.5", "-1"), ("'inner.threshold' is -1", "greater than or equal to 0")),
        (GOOD.replace("0.5", "much"), ("'inner.threshold' is 'much'",)),
        (GOOD.replace("version: 1", "version: 2"), ("'schema_version' is 2",)),
        ("- a\n- b\n", ("holds list, not a mapping",)),
        ("", ("holds NoneType, not a mapping",)),
        ("a: [\n", ("not valid YAML",)),
        (GOOD + "inner: {threshold: 0.9}\n", ("the key 'inner' stands twice",)),
        ("!!python/object/apply:os.system ['true']", ("not valid YAML",)),
    ],
)
def test_a_bad_file_is_one_error_that_names_file_key_and_value(text, expected):
    with pytest.raises(SettingsError) as raised:
        parse_yaml(Outer, text, source="f.yaml")

    assert "f.yaml" in str(raised.value)
    for part in expected:
        assert part in str(raised.value)


def test_json_is_read_as_strictly():
    assert parse_json(Outer, '{"schema_version": 1, "inner": {"threshold": 1}}', source="f").inner.threshold == 1
    with pytest.raises(SettingsError, match="f is not valid JSON"):
        parse_json(Outer, "{", source="f")


def test_a_huge_value_is_shortened_in_the_message():
    with pytest.raises(SettingsError) as raised:
        parse_yaml(Outer, GOOD.replace("0.5", "x" * 10_000), source="f.yaml")

    assert len(str(raised.value)) < 400
