import pytest

from gitrain.errors import SettingsError
from gitrain.settings import load_settings


def write(folder, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text)
    return folder


def test_the_nearest_repository_upwards_is_found(tmp_path):
    write(tmp_path, '[tool.gitrain]\nproject = "a.b:C"\n')
    inside = write(tmp_path / "deep" / "inside", "[tool.other]\n")

    settings = load_settings(inside)

    assert settings.root == tmp_path
    assert settings.repository.project == "a.b:C"


def test_outside_of_a_repository_the_error_says_what_to_add(tmp_path):
    with pytest.raises(SettingsError, match=r"tool.gitrain"):
        load_settings(tmp_path)


def test_the_environment_names_another_tracking_server(tmp_path, monkeypatch):
    write(tmp_path, '[tool.gitrain]\nproject = "a:B"\n')
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")

    assert load_settings(tmp_path).repository.tracking_uri == "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[tool.gitrain]\nproject = "no colon"\n', "project"),
        ('[tool.gitrain]\nproject = "a:B"\nprojct = 1\n', "did you mean 'project'"),
        ("[tool.gitrain]\n", "'project' is missing"),
        ("[tool.gitrain\n", "not valid TOML"),
    ],
)
def test_bad_settings_are_one_error(tmp_path, text, expected):
    write(tmp_path, text)

    with pytest.raises(SettingsError, match=r"pyproject\.toml") as raised:
        load_settings(tmp_path)

    assert expected in str(raised.value)
