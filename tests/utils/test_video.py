"""Videos come back with the frames that went in, without a word from the encoder."""

import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from utils.video import write_video


def frames(count=7, height=67, width=101):
    for number in range(count):
        yield np.full((height, width, 3), 30 * number, np.uint8)


def test_odd_frames_come_back_even_and_silently(tmp_path, capfd, caplog, recwarn):
    write_video(tmp_path / "out" / "orbit.mp4", frames(), fps=10)
    assert not caplog.records
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")
    video = iio.imread(tmp_path / "out" / "orbit.mp4", plugin="FFMPEG")
    assert video.shape == (7, 68, 102, 3)
    np.testing.assert_allclose(video.mean(axis=(1, 2, 3)), 30.0 * np.arange(7), atol=4)
    meta = iio.immeta(tmp_path / "out" / "orbit.mp4", plugin="FFMPEG")
    assert (meta["fps"], meta["codec"], meta["pix_fmt"].startswith("yuv420p")) == (10, "h264", True)


def test_works_where_warnings_are_errors(tmp_path):
    code = (
        "import numpy as np; from utils.video import write_video;"
        f"write_video(r'{tmp_path / 'a.mp4'}', (np.zeros((33, 35, 3), np.uint8) for _ in range(3)), 24)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_failing_generator_leaves_no_file_behind(tmp_path):
    def broken():
        yield from frames(2)
        raise RuntimeError("render failed")

    with pytest.raises(RuntimeError, match="render failed"):
        write_video(tmp_path / "a.mp4", broken(), fps=10)
    assert not list(tmp_path.iterdir())


def test_frames_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"frame 2: expected \(67, 101, 3\) uint8, got \(5, 5, 3\)"):
        write_video(tmp_path / "a.mp4", [*frames(2), np.zeros((5, 5, 3), np.uint8)], fps=10)
    with pytest.raises(ValueError, match="at least one frame"):
        write_video(tmp_path / "a.mp4", [], fps=10)
    assert not list(tmp_path.iterdir())
