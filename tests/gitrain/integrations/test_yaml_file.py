import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitrain.errors import SettingsError
from gitrain.integrations.yaml_file import YamlFile

TEXT = """\
# What the data is.
schema_version: 1
data:
  from: "2013-01"   # the first month
  through: '2013-08'

gates:
  thresholds:
    roc_auc: {min: 0.70}  # set in May
  waivers:
    - gate: champion
      reason: "first release"
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    return YamlFile(path)


def test_only_the_value_changes(file):
    file.change("data.through", "2013-09")

    assert file.path.read_text() == TEXT.replace("'2013-08'", "'2013-09'")


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20))
def test_whatever_is_written_is_read_back(file, value):
    file.change("data.through", value)

    assert yaml.safe_load(file.path.read_text())["data"]["through"] == value


@pytest.mark.parametrize("key", ["data.thru", "nothing.at.all", "schema_version.deeper"])
def test_a_key_that_is_not_there_is_named(file, key):
    with pytest.raises(SettingsError, match=key):
        file.change(key, "x")

    assert file.path.read_text() == TEXT


def test_a_file_that_is_no_yaml_is_named(file):
    file.path.write_text("a: [")

    with pytest.raises(SettingsError, match=r"params\.yaml cannot be read"):
        file.change("a", "x")
