"""Photos of several lenses or zooms get a camera for each."""

import pycolmap
import pytest
from PIL import Image
from textured_scene import orbit_of_cameras, render_all

from datasets.capture.frames.frame_list import Frame, read_frame_list
from datasets.capture.frames.lenses import Optics, group_lenses, read_optics
from datasets.capture.frames.stage import extract_frames
from datasets.capture.options import CaptureOptions
from datasets.capture.poses.features import extract_features
from utils.images import write_jpeg


def exif_of(focal: float, wide: int, model: str = "P1") -> bytes:
    exif = Image.Exif()
    photo = exif.get_ifd(0x8769)
    photo[0x920A], photo[0xA405], exif[0x010F], exif[0x0110] = focal, wide, "Phone", model
    return exif.tobytes()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_exif_tells_the_lens():
    assert read_optics(exif_of(4.25, 26)) == Optics("Phone P1", 4.25, 26.0)
    assert read_optics(b"") == Optics()
    assert read_optics(b"Exif\0\0II*\0damaged") == Optics()


@pytest.mark.parametrize(
    ("optics", "lenses"),
    [
        ([Optics("A", 4.0, 26.0), Optics("A", 4.0, 26.0)], 1),
        ([Optics("A", 4.0, 26.0), Optics("A", 6.6, 43.0)], 2),
        ([Optics("A", 4.0, 26.0), Optics("A", 4.0, 52.0)], 2),  # digital zoom
        ([Optics("A", 4.0), Optics("B", 4.0)], 2),
        ([Optics("A", 24.0), Optics("A", 24.1), Optics("A", 25.0)], 2),
        ([Optics("A", 4.0, 26.0), Optics("A", 4.02, 27.0)], 1),  # rounded
        ([Optics("A", 4.0, 26.0), Optics()], 2),
        ([Optics(), Optics()], 1),
    ],
)
def test_lenses_are_told_apart(optics, lenses):
    names = group_lenses(optics)
    assert len(set(names)) == lenses
    assert (names[0] == "") == (lenses == 1)


def test_each_lens_has_its_own_camera(tmp_path, caplog):
    caplog.set_level("INFO")
    for number, view in enumerate(render_all(orbit_of_cameras(6, degrees=30.0))):
        lens = ((4.0, 26), (6.6, 43))[number % 2]
        write_jpeg(tmp_path / f"photos/{number}.jpg", view, exif_of(*lens))
    options = CaptureOptions(tmp_path / "photos", tmp_path / "out")
    (tmp_path / "out").mkdir()
    extract_frames(options, tmp_path / "out")
    assert "photos of 2 lenses or zooms (Phone P1, 4 mm, 26 mm of 35 mm film: 3; Phone P1, 6.6 mm" in caplog.text
    frames, _ = read_frame_list(tmp_path / "out")
    extract_features(tmp_path / "database.db", tmp_path / "out/frames", frames, options)
    with pycolmap.Database.open(tmp_path / "database.db") as opened:
        cameras = [opened.read_image_with_name(frame.name).camera_id for frame in frames]
    assert len(set(cameras)) == 2
    assert [cameras[0] == camera for camera in cameras] == [True, False] * 3


def test_lists_of_before_have_one_lens():
    assert Frame("a.jpg", "a.jpg", (4, 3), 1.0, 0.5).lens == ""
