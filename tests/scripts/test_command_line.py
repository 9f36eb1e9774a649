"""Every script says what it is for, shows an example, and ends with one line and exit code 2 for bad input."""

import importlib
from pathlib import Path

import pytest

from scripts.command_line import exit_code_of
from utils.errors import InputError
from utils.files import replacing

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


def test_help_is_a_word_too(capsys: pytest.CaptureFixture[str]) -> None:
    for words, opening in ((["help"], "usage: photosurf [-h]"), (["help", "view"], "usage: photosurf view [-h]")):
        with pytest.raises(SystemExit) as ended:
            importlib.import_module("scripts.photosurf").main(words)
        assert ended.value.code == 0
        assert capsys.readouterr().out.startswith(opening)


def test_help_of_launch_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        importlib.import_module("launch").main(["--help"])
    assert "\nExamples:\n  python launch.py --config " in capsys.readouterr().out


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_unknown_flag_ends_with_exit_code_two(name: str) -> None:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"scripts.{name}").main(["--no-such-flag"])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("photosurf", "command line: one of capture, demo, train, "),
        ("photosurf load/spot/train", "a command comes first: photosurf capture load/spot/train"),
        ("photosurf trian", "got 'trian'. Did you mean 'train'? See photosurf --help."),
        ("prepare", "command line: INPUT and OUT are missing. See "),
        ("capture", "command line: INPUT is missing. See "),
        ("view", "command line: RUN is missing. See "),
        (
            "prepare a b --setup turntabel",
            "expected one of auto, handheld, turntable, got 'turntabel'. Did you",
        ),
        ("prepare a b --max_side 9", "'--max_side': unknown flag. Did you mean '--max-side'?"),
        ("prepare a b --frames many", "--frames: expected a whole number, got 'many'."),
        ("prepare a b --scale 12cm", "--scale: expected a number, got '12cm'."),
        ("export run --fbx", "'--fbx': unknown flag. Formats are --glb, --obj, --ply, --stl, --usdz. See"),
        ("export run --gbl", "'--gbl': unknown flag. Did you mean '--glb'?"),
        ("sweep configs/sweeps/truth.yaml --gpu 0", "'--gpu': unknown flag. Did you mean '--gpus'?"),
        ("evaluate", "command line: one of mesh, dtu, images is missing."),
        ("evaluate mesh --pred a --gt b --box 1", "'--box': unknown flag. Did you mean '--bbox'?"),
        ("scale_sheet a.pdf b.pdf", "'b.pdf': one word too many."),
    ],
)
def test_a_wrong_word_is_told_in_one_line(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, *rest = words.split()
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"scripts.{name}").main(rest)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert said in line


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


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with replacing(tmp_path / "made") as temporary:
            temporary.touch()

    (tmp_path / "made").mkdir()
    assert exit_code_of(work) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/made: Is a directory. A folder of that name is there")


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(FileNotFoundError):
        exit_code_of(lambda: Path("none.txt").read_bytes())
    with pytest.raises(ZeroDivisionError):
        exit_code_of(lambda: 1 // 0)
    assert exit_code_of(lambda: None) == 0
    assert exit_code_of(lambda: 1) == 1
