"""No photo of a folder is dropped without a word: AVIF is read, HEIC with its package, the rest is named."""

import sys
import types

import numpy as np
import pytest
from PIL import Image, features

from datasets.capture.frames.photo_files import list_photos, tell_left_out
from datasets.capture.options import CaptureOptions
from datasets.capture.series_pipeline import prepare_capture
from utils import images
from utils.errors import CaptureError, DataError
from utils.images import HEIF_SUFFIXES, SUFFIXES, read_image, write_jpeg

GREY = np.full((4, 6, 3), 128, dtype=np.uint8)
without_heif = pytest.mark.skipif(HEIF_SUFFIXES[0] in SUFFIXES, reason="pillow-heif is installed")


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".jpg"):
            write_jpeg(folder / name, GREY)
        else:
            (folder / name).write_bytes(b"x")
    return folder


@pytest.mark.skipif(not features.check("avif"), reason="this build of Pillow reads no AVIF")
def test_avif_is_read(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.avif")
    assert [path.name for path in list_photos(tmp_path)] == ["a.avif"]
    assert np.abs(read_image(tmp_path / "a.avif").astype(int) - 128).max() < 4


def test_heic_is_read_with_its_package(tmp_path, monkeypatch):
    def register_heif_opener():
        Image.register_open("HEIF", lambda file, name: Image.new("RGB", (6, 4), "red"), lambda prefix: prefix == b"x")

    monkeypatch.setitem(sys.modules, "pillow_heif", types.SimpleNamespace(register_heif_opener=register_heif_opener))
    monkeypatch.setattr(images, "_HAS_HEIF", True)
    monkeypatch.setattr(images, "_FORMATS", (*images._FORMATS, "HEIF"))
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    assert images._open(fill(tmp_path, "a.HEIC") / "a.HEIC").size == (6, 4)


@without_heif
def test_what_is_left_out_is_named_with_the_remedy(tmp_path, caplog):
    fill(tmp_path, *(f"{i}.jpg" for i in range(3)), "a.HEIC", "b.heic", "c.dng", "1.mov", "walk.mp4", "notes.txt")
    fill(tmp_path, ".hidden.heic", "cam1/4.jpg", "cam1/5.jpg", "masks/0.jpg", "used/7.jpg", "empty/notes.txt")
    tell_left_out(tmp_path, [tmp_path / "used"])
    (line,) = [record.getMessage() for record in caplog.records]
    for part in (
        "2 .heic, which",
        "1 .dng, which",
        "1 .mp4: give",
        "2 .jpg in the folder cam1: put them",
        "folder masks: give",
    ):
        assert part in line
    for part in (".mov", ".txt", "folder used", "folder empty"):
        assert part not in line


@without_heif
def test_a_raw_file_beside_its_photo_is_no_loss(tmp_path, caplog):
    caplog.set_level("INFO")
    tell_left_out(fill(tmp_path, "1.jpg", "1.ARW", "2.jpg", "2.ARW"), [])
    assert [(record.levelname, record.getMessage().split(": ")[1]) for record in caplog.records] == [
        ("INFO", "2 .arw, beside photos of the same names, which are used")
    ]


@without_heif
@pytest.mark.parametrize(
    ("names", "error", "said"),
    [
        (["a.heic", "b.HEIC"], CaptureError, "got 2 .heic, which cannot be read: pip install pillow-heif"),
        (["a.cr3"], CaptureError, "got 1 .cr3, which cannot be read: convert them to JPEG"),
        (["photos/a.jpg"], CaptureError, "got 1 .jpg in the folder photos: give .*in/photos as INPUT"),
        (["a/b/c.jpg"], CaptureError, "got 1 .jpg in the folder a: give .*in/a/b as INPUT"),
        (["a.txt"], DataError, "got none"),
    ],
)
def test_a_folder_without_photos_says_what_it_has(names, error, said, tmp_path, caplog):
    fill(tmp_path / "in", *names)
    with pytest.raises(error, match=said):
        prepare_capture(CaptureOptions(tmp_path / "in", tmp_path / "out"), [tmp_path / "in"])
    assert caplog.text == ""
