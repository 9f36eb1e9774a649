"""A row shows the object as it was photographed and as it came out, from the same camera, with what is known of it."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from true_mesh_run import true_mesh_run

from scripts import gallery
from scripts.gallery import GAP, LINE, MAX_BYTES, SIDE, main
from utils.images import read_image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run on the bundled scene whose mesh is the true one."""
    folder = true_mesh_run(tmp_path)
    figures = {"train_views": 100, "train_seconds": 65.2, "psnr": 32.83, "environment": {"device": "a card"}}
    (folder / "save" / "metrics.json").write_text(json.dumps(figures))
    return folder


def cells(picture: np.ndarray, row: int) -> list[np.ndarray]:
    top = row * (LINE + SIDE + GAP) + LINE
    return [picture[top : top + SIDE, k * (SIDE + GAP) :][:, :SIDE] for k in range(4)]


def test_rows_show_photograph_and_mesh_alike(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    pen = SimpleNamespace(text=lambda place, words, **style: said.append(words))
    monkeypatch.setattr(gallery.ImageDraw, "Draw", lambda row: pen)
    assert main([f"{run}=cow", str(run), "--photo", "5", "0", "--out", str(tmp_path / "a.jpg")]) == 0
    figures = "100 photographs, 65 s of training on a card, PSNR 32.8 dB"
    assert said == [f"cow, {figures}", f"spot/trial, {figures}"]
    picture = read_image(tmp_path / "a.jpg")
    assert picture.shape == (2 * (LINE + SIDE + GAP), 4 * (SIDE + GAP), 3)
    assert (tmp_path / "a.jpg").stat().st_size <= MAX_BYTES
    for row in range(2):
        photo, *drawn = (cell.min(axis=2) < 240 for cell in cells(picture, row))
        shown = [one for one in drawn if one.any()]
        assert len(shown) == (3 if drawn[2].any() else 2)  # the true mesh may have no colours
        for one in shown:
            assert (one & photo).sum() / (one | photo).sum() > 0.93
            rows, columns = (np.flatnonzero(one.any(axis=axis)) for axis in (1, 0))
            assert max(np.ptp(rows), np.ptp(columns)) > 0.85 * SIDE


def test_wrong_input_is_told(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for words, told in (
        ([str(run), "--out", str(tmp_path / "a.png")], "expected the name of a JPEG"),
        (
            [str(run), "--photo", "1", "2", "--out", str(tmp_path / "a.jpg")],
            "expected a number from 0 on, got 1 2.",
        ),
        ([str(run), "--photo", "-1", "--out", str(tmp_path / "a.jpg")], "from 0 on, got -1."),
        ([str(run), "--photo", "500", "--out", str(tmp_path / "a.jpg")], "numbered from 0"),
        ([str(tmp_path / "none"), "--out", str(tmp_path / "a.jpg")], "none"),
    ):
        assert main(words) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: ")
        assert told in error
