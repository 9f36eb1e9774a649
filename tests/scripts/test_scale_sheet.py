"""The sheet is a PDF of the size of its paper, without loss."""

import re
from pathlib import Path

import pytest

from datasets.capture.scale_sheet import PAPERS
from scripts.scale_sheet import main


@pytest.mark.parametrize("paper", PAPERS)
def test_the_page_is_the_paper(paper: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main([str(tmp_path / "sheet.pdf"), "--paper", paper]) == 0
    content = (tmp_path / "sheet.pdf").read_bytes()
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content).groups()
    assert [float(points) / 72.0 * 25.4 for points in box] == pytest.approx(PAPERS[paper], abs=1e-3)
    assert b"/CCITTFaxDecode" in content
    assert b"/DCTDecode" not in content
    assert "160 mm" in capsys.readouterr().out


def test_another_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main([str(tmp_path / "sheet.jpg")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/sheet.jpg: expected the name of a PDF")
