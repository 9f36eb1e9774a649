"""No photo of a folder is dropped without a word: AVIF is read, HEIC with its package, the rest is named."""

import sys
import types
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image, features

from datasets.assemble import tell_dark
from datasets.capture.frames.names import original_name
from datasets.capture.frames.photo_files import list_photos, tell_left_out
from datasets.capture.frames.stage import extract_frames
from datasets.capture.given import require_source
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
    assert [(record.levelname, record.getMessage().split(": ", 1)[1]) for record in caplog.records] == [
        ("INFO", "not used: 2 .arw, beside photos of the same names, which are used")
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


def test_heic_under_another_name_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_HAS_HEIF", False)
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(DataError, match=r"is HEIC, whatever its name says.*pip install pillow-heif"):
        read_image(tmp_path / "a.jpg")


def test_files_that_are_not_there_yet_are_named_and_those_of_other_programs_not(tmp_path, caplog):
    fill(
        tmp_path, *(f"{i}.jpg" for i in range(3)), ".4.jpg.icloud", "5.jpg.crdownload", "@eaDir/0.jpg", "__MACOSX/0.jpg"
    )
    (tmp_path / "6.jpg").symlink_to(tmp_path / "gone.jpg")
    tell_left_out(tmp_path, [])
    assert "1 .crdownload and 1 .icloud: load these files" in caplog.text
    assert "1 .jpg: links to files that are not there, first 6.jpg" in caplog.text
    assert "eaDir" not in caplog.text
    assert "MACOSX" not in caplog.text


def test_the_clips_of_live_photos_are_told(tmp_path, caplog):
    caplog.set_level("INFO")
    tell_left_out(fill(tmp_path, "1.jpg", "1.MOV", "2.jpg"), [])
    assert "not used: 1 .mov, beside photos of the same names" in caplog.text


@pytest.mark.parametrize(
    "name", ["IMG_1 (1)", "img_1-edited", "IMG_1 copy 2", "IMG_E1", "IMG_1_edit (2)", "IMG_1 - Copy"]
)
def test_copies_are_known_by_their_names(name):
    assert original_name(name) == "img_1"
    assert original_name("IMG_10") != "img_1"


def test_an_archive_is_no_video(tmp_path):
    with ZipFile(tmp_path / "scan.mp4", "w") as archive:  # of photos that are stored, which ffmpeg takes for a video
        archive.writestr("a.jpg", b"x")
    for name in ("scan.mp4", "scan.7z"):
        (tmp_path / name).touch()
        with pytest.raises(CaptureError, match=r"got an archive. Unpack it"):
            require_source(tmp_path / name)


def prepare(tmp_path, image, kind="png"):
    (tmp_path / "in").mkdir()
    (tmp_path / "working").mkdir()
    for i in range(3):
        Image.fromarray(np.roll(image, 5 * i, axis=0)).save(tmp_path / f"in/{i}.{kind}")
    return extract_frames(CaptureOptions(tmp_path / "in", tmp_path / "out"), tmp_path / "working")


NOISE = np.random.default_rng(0).integers(0, 255, (48, 64, 4), dtype=np.uint8)


def test_alpha_and_darkness_are_told_and_thumbnails_refused(tmp_path, caplog):
    tell_dark.cache_clear()
    for name, image, said in (
        ("alpha", NOISE, "3 of 3 photos have alpha, which is not used. If it shows the object: --masks"),
        ("dark", NOISE[..., :3] // 16, "darker than 40 of 255"),
        ("sound", NOISE[..., :3], ""),
    ):
        caplog.clear()
        (tmp_path / name).mkdir()
        prepare(tmp_path / name, image)
        assert said in caplog.text
        assert ("have alpha" in caplog.text) == (name == "alpha")
    with pytest.raises(CaptureError, match=r"at least 32 pixels a side.*first 0.png of 64x20"):
        prepare(tmp_path, NOISE[:20, :, :3])


def test_a_picture_that_is_too_large_says_how_to_go_on(tmp_path, monkeypatch):
    write_jpeg(tmp_path / "a.jpg", GREY)
    monkeypatch.setattr(images, "MAX_PIXELS", 20)
    with pytest.raises(DataError, match=r"million pixels, got more \(6x4\). Make it smaller"):
        read_image(tmp_path / "a.jpg")
