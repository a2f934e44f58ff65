import json
import subprocess
import sys
import textwrap

import pytest

from gitrain import __version__
from gitrain.cli.commands import COMMANDS, GROUPS
from gitrain.cli.main import build_parser, main
from gitrain.errors import DataError


def test_help_lists_every_noun(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])

    shown = capsys.readouterr().out
    assert stopped.value.code == 0
    for noun in {command.words[0] for command in COMMANDS}:
        assert f"    {noun}" in shown
    assert "only 0 promotes" in shown


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.words))
def test_every_command_parses_and_its_runner_exists(command):
    required = ["x" for argument in command.arguments if not argument.flags[0].startswith("-")]
    for argument in command.arguments:
        if argument.options.get("required"):
            required += [argument.flags[0], "x"]

    arguments = build_parser().parse_args([*command.words, *required])

    module, _, function = arguments.runner.partition(":")
    __import__(module)
    assert callable(getattr(sys.modules[module], function))


def test_every_group_has_commands_and_a_summary():
    assert set(GROUPS) == {command.words[0] for command in COMMANDS if len(command.words) > 1}


def test_the_version_is_the_package_s(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])

    assert capsys.readouterr().out == f"gitrain {__version__}\n"


@pytest.mark.parametrize("words", [["nonsense"], ["data"], ["data", "nonsense"], []])
def test_misuse_ends_with_exit_code_2(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)

    assert stopped.value.code == 2
    assert capsys.readouterr().out == ""


def test_outside_of_a_repository_the_message_says_what_to_do(tmp_path, capsys):
    code = main(["-C", str(tmp_path), "data", "ingest"])

    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert "tool.gitrain" in captured.err
    assert "to mend it:" in captured.err


def test_an_error_becomes_its_exit_code(monkeypatch, capsys):
    def broken(arguments):
        raise DataError("broken", fix="mend.")

    monkeypatch.setattr("gitrain.cli.data.ingest", broken)

    assert main(["data", "ingest"]) == 3
    assert capsys.readouterr().err == "gitrain: broken\n  to mend it: mend.\n"


def test_an_interrupt_is_no_traceback(monkeypatch, capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("gitrain.cli.data.ingest", interrupted)

    assert main(["data", "ingest"]) == 130
    assert capsys.readouterr().err == "gitrain: interrupted\n"


def test_a_reader_that_goes_away_is_no_traceback():
    program = textwrap.dedent(
        """
        import sys
        import gitrain.cli, gitrain.cli.data
        from gitrain.cli.console import print_text
        def run(arguments):
            print_text("x" * 10_000_000)
            return 0
        gitrain.cli.data.ingest = run
        sys.exit(gitrain.cli.main(["data", "ingest"]))
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.read(10)
        writer.stdout.close()

        assert writer.stderr.read() == b""
        assert writer.wait(timeout=120) == 3


def test_help_imports_no_library_that_is_slow():
    program = (
        "import sys\n"
        "from gitrain.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "import json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & {"numpy", "polars", "pandera", "sklearn", "pydantic", "yaml", "mlflow", "dvc", "skops", "scipy"}
