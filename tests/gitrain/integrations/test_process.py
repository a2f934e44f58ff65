import sys
from pathlib import Path

import pytest

from gitrain.errors import IntegrationError
from gitrain.integrations.process import LocalShell


@pytest.fixture
def shell(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    return LocalShell(folder, tmp_path / "log.txt")


def test_stdout_is_captured_or_logged(shell):
    command = [sys.executable, "-c", "import os; print(os.getcwd())"]

    assert shell.run(command, capture=True).stdout == f"{shell.folder}\n"
    assert shell.run(command, capture=False).stdout == ""
    assert shell.run(command, capture=False).stdout == ""
    assert shell.log.read_text() == f"{shell.folder}\n" * 2


def test_an_exit_code_is_a_value(shell):
    assert shell.run([sys.executable, "-c", "raise SystemExit(4)"], capture=True).exit_code == 4


def test_gitrain_is_the_one_of_this_interpreter(shell, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")

    assert shell.run(["gitrain", "--version"], capture=True).stdout.startswith("gitrain ")


def test_the_commands_of_stages_find_gitrain_too(shell, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    look = "import os; print(os.environ['PATH'].split(os.pathsep)[0])"

    found = shell.run([sys.executable, "-c", look], capture=True).stdout.strip()

    assert found == str(Path(sys.executable).parent)


def test_a_hook_s_repository_is_not_handed_on(shell, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/elsewhere")

    found = shell.run([sys.executable, "-c", "import os; print('GIT_DIR' in os.environ)"], capture=True)

    assert found.stdout == "False\n"


def test_a_program_that_is_not_there_is_named(shell):
    with pytest.raises(IntegrationError, match="no-such-program"):
        shell.run(["no-such-program"], capture=True)
