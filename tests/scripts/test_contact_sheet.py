"""Several runs in one picture, and what is said where one has nothing to show."""

from pathlib import Path

import numpy as np
import pytest
from finished_run import write_finished_run
from PIL import Image

from scripts.contact_sheet import LINE, MARGIN, main
from systems.report.pictures import read_held_out
from systems.report.results import read_results


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [write_finished_run(tmp_path / f"exp/{name}") for name in ("plain", "wide", "third")]


def test_each_run_has_its_pictures_at_its_place(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    show = ["--view", "1", "--show", "truth", "normal", "--width", "24", "--columns", "2"]
    assert main([*map(str, runs), "--out", str(out), *show]) == 0
    sheet = np.asarray(Image.open(out))
    width, height = 2 * 24 + 2 * MARGIN, 24 + LINE + 2 * MARGIN
    assert sheet.shape == (2 * height, 2 * width, 3)
    for index, run in enumerate(runs):
        held_out = read_held_out(read_results(run), 1)
        top, left = index // 2 * height + MARGIN + LINE, index % 2 * width + MARGIN
        for place, name in enumerate(("truth", "normal")):
            cell = sheet[top : top + 24, left + 24 * place : left + 24 * (place + 1)]
            assert np.array_equal(cell, held_out.pictures[name])
        title = sheet[top - LINE : top, left : left + 2 * 24]
        assert (title < 128).any()
    assert (sheet[height:, width:] == 255).all()  # no fourth run


def test_a_jpeg_is_written_too(runs: list[Path], tmp_path: Path) -> None:
    assert main([str(runs[0]), "--out", str(tmp_path / "sheet.jpg")]) == 0
    assert Image.open(tmp_path / "sheet.jpg").format == "JPEG"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--view", "3"], "exp/plain: no held-out view 3. Test the run, or give another --view."),
        (["--show", "curl"], "exp/plain: view 0 does not show curl. --show takes truth, rgb, error, normal, depth."),
        (["--width", "0"], "--width: expected 1 or more, got 0."),
        (["--view", "-1"], "--view: expected 0 or more, got -1."),
        (["--out", "sheet.html"], "--out sheet.html: expected the name of a picture, such as sheet.png."),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    out = tmp_path / "sheet.png"
    assert main([str(runs[0]), "--out", str(out), *more]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(said)
    assert not out.exists()


def test_a_folder_that_is_no_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "gone"), "--out", str(tmp_path / "sheet.png")]) == 2
    assert "no such folder" in capsys.readouterr().err
