"""Every script says what it is for, shows an example, and ends with one line and exit code 2 for bad input."""

import importlib
from pathlib import Path

import pytest

from scripts.command_line import exit_code_of
from utils.errors import InputError

SCRIPTS = sorted(
    path.stem
    for path in (Path(__file__).resolve().parents[2] / "scripts").glob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_opens_with_a_sentence_and_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"scripts.{name}").main(["--help"])
    assert ended.value.code == 0
    usage, description, *_ = capsys.readouterr().out.split("\n\n")
    assert usage.startswith("usage: ")
    assert description.endswith(".")
    assert len(description.splitlines()) == 1
    assert f"\nExample: python scripts/{name}.py" in f"\n{importlib.import_module(f'scripts.{name}').__doc__}"


@pytest.mark.parametrize("kind", ["mesh", "dtu", "images"])
def test_help_of_each_evaluation_shows_an_example(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        importlib.import_module("scripts.evaluate").main([kind, "--help"])
    assert f"\nExample: python scripts/evaluate.py {kind} --pred " in capsys.readouterr().out


def test_help_of_launch_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        importlib.import_module("launch").main(["--help"])
    assert "\nExamples:\n  python launch.py --config " in capsys.readouterr().out


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_unknown_flag_ends_with_exit_code_two(name: str) -> None:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"scripts.{name}").main(["--no-such-flag"])
    assert ended.value.code == 2


def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise InputError("a.ply: no such file.\n  Give another.")

    assert exit_code_of(work) == 2
    assert capsys.readouterr().err == "error: a.ply: no such file. Give another.\n"
    assert exit_code_of(work, verbose=True) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert exit_code_of(lambda: (tmp_path / "file" / "folder").mkdir()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}/file/folder: Not a directory. ")


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        exit_code_of(lambda: 1 // 0)
    assert exit_code_of(lambda: None) == 0
    assert exit_code_of(lambda: 1) == 1
