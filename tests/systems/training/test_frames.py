"""Pictures and videos that are written while views are rendered: in order, whole or not at all, errors included."""

import threading
from pathlib import Path

import numpy as np
import pytest

from systems.training.evaluation import RenderedView
from systems.training.frames import MOST_VIEWS, FrameWriter, WritingBeside
from utils.files import BestEffortWrites
from utils.images import read_image
from utils.video import write_video

NUM = 40  # more than wait at a time


def view(grey: float) -> RenderedView:
    flat = np.full((16, 16), grey, np.float32)
    images = {"rgb": np.repeat(flat[..., None], 3, -1), "opacity": np.ones_like(flat), "depth": flat}
    return RenderedView(images, None, {"psnr": grey})


def test_frames_keep_their_order_and_have_files(tmp_path: Path) -> None:
    seen: list[np.ndarray] = []
    writer = FrameWriter(seen.extend)
    for number in range(NUM):
        writer.add(view(number / NUM), tmp_path / f"{number}.png")
    writer.finish()
    assert [round(int(frame[0, 0, 0]) * NUM / 255) for frame in seen] == list(range(NUM))
    assert all((read_image(tmp_path / f"{number}.png") == seen[number]).all() for number in range(NUM))
    held_out = writer.figures(tmp_path)["held_out"]
    assert held_out["panel"] == ["rgb", "depth"]
    assert held_out["views"][3] == {"file": "3.png", "psnr": 3 / NUM}


def whole_pass(writer: FrameWriter) -> None:
    for _ in range(NUM):
        writer.add(view(0.5))
    writer.finish()


def fails(frames: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("video", [fails, lambda frames: fails(next(frames))], ids=["at once", "behind a frame"])
def test_what_the_video_raises_is_raised_here_and_nobody_waits(video) -> None:
    writer = FrameWriter(video)
    with pytest.raises(OSError, match="No space left"):
        whole_pass(writer)
    writer.drop()


@pytest.mark.parametrize("video", [None, lambda frames: None], ids=["no video", "a video that asks for none"])
def test_what_a_picture_raises_is_raised_here(tmp_path: Path, video) -> None:
    (tmp_path / "file").write_text("in the way")
    writer = FrameWriter(video)
    writer.add(view(0.5), tmp_path / "file" / "0.png")
    with pytest.raises((FileExistsError, NotADirectoryError)):
        writer.finish()


def test_a_pass_that_is_dropped_leaves_no_video_and_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    writer = FrameWriter(lambda frames: write_video(tmp_path / "a.mp4", frames, 30))
    for _ in range(NUM):
        writer.add(view(0.5))
    writer.drop()
    writer.drop()
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == before


def test_a_pass_without_views_has_nothing_to_wait_for() -> None:
    before = threading.active_count()
    FrameWriter(fails).finish()
    assert threading.active_count() == before


def test_views_are_written_and_shown_beside_and_few_wait(tmp_path: Path) -> None:
    beside, shown, goes_on = WritingBeside("val", BestEffortWrites()), [], threading.Event()

    def show(name: str, path: Path) -> None:
        goes_on.wait(10.0)
        shown.append((name, path.name, read_image(path)[0, 0, 0]))

    for number in range(MOST_VIEWS):
        beside.add(view(number / 10), tmp_path / "views" / f"{number}.png", show)
    assert shown == []  # nobody has waited
    goes_on.set()
    beside.add(view(1.0), tmp_path / "views" / "last.png", show)
    assert len(shown) > 0
    beside.finish()
    assert [entry[1] for entry in shown] == [*(f"{number}.png" for number in range(MOST_VIEWS)), "last.png"]
    assert shown[0] == ("val", "0.png", 0)
    assert shown[-1][2] == 255


def test_of_views_beside_a_full_disk_is_told_and_all_else_raised(tmp_path: Path, caplog) -> None:
    beside = WritingBeside("val", BestEffortWrites())
    beside.add(view(0.5), tmp_path / "a.png", lambda name, path: fails(None))
    beside.finish()
    assert "validation views cannot be written" in caplog.text

    def show(name: str, path: Path) -> None:
        raise ValueError("not a picture")

    beside.add(view(0.5), tmp_path / "b.png", show)
    with pytest.raises(ValueError, match="not a picture"):
        beside.finish()
