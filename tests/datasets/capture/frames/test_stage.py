"""Frames: neither blurred nor twice, spread over the way of the camera, upright; and what is said of bad input."""

import subprocess
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from icc_profiles import P3, rgb_profile
from PIL import Image
from textured_scene import HEIGHT, WIDTH, orbit_of_cameras, render_all

from datasets.capture.frames.frame_list import read_frame_list
from datasets.capture.frames.motion import FrameMeasures, blur, measure_frames
from datasets.capture.frames.selection import select_frames
from datasets.capture.frames.stage import extract_frames
from datasets.capture.options import CaptureOptions
from utils.errors import CaptureError, ConfigError, DataError, InputError
from utils.images import read_image, write_jpeg, write_png
from utils.video import write_video

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def views():
    return render_all(orbit_of_cameras(12, degrees=50.0))


def run(source, tmp_path, **options):
    """The frames of a source, and the report."""
    working = tmp_path / "working"
    working.mkdir()
    report = extract_frames(CaptureOptions(source, tmp_path / "out", **options), working)
    return read_frame_list(working)[0], report


def test_a_blurred_frame_and_a_copy_are_not_chosen(views, tmp_path):
    shown = [view for view in views for _ in range(2)]  # each twice, as from a screen recorder
    shown[8] = shown[9] = cv2.blur(views[4], (9, 9))
    write_video(tmp_path / "clip.mp4", shown, fps=30)
    found, report = run(tmp_path / "clip.mp4", tmp_path, frames=24)
    numbers = [int(frame.source) for frame in found]
    assert not {8, 9} & set(numbers)
    assert sorted(number // 2 for number in numbers) == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert (report["frames_of_video"], report["blurred"], report["still"], report["frames"]) == (24, 2, 11, 11)


def test_the_number_is_kept_and_the_way_is_covered(views, tmp_path):
    write_video(tmp_path / "clip.mp4", views, fps=30)
    found, _ = run(tmp_path / "clip.mp4", tmp_path, frames=5)
    numbers = np.array([int(frame.source) for frame in found])
    assert len(numbers) == 5
    assert np.diff(numbers).min() >= 1
    assert numbers[0] <= 2
    assert numbers[-1] >= 9
    names = sorted(path.name for path in (tmp_path / "working/frames").iterdir())
    assert names == [f"{number:06d}.jpg" for number in numbers]
    error = read_image(tmp_path / "working/frames" / names[0]).astype(int) - views[numbers[0]]
    assert np.abs(error).mean() < 8  # the frame that it says, through H.264


def test_evenly_along_the_way_not_in_time():
    position = np.concatenate([np.linspace(0.0, 1.0, 50), np.full(200, 1.0), np.linspace(1.0, 2.0, 25)])
    found = select_frames(FrameMeasures(position, np.ones(275), np.zeros(275)), 20)
    ways = np.diff(position[found.chosen])
    assert len(found.chosen) == 20
    assert 0.5 < ways.min() / ways.mean() < ways.max() / ways.mean() < 1.7
    assert ((found.chosen > 50) & (found.chosen < 250)).sum() <= 1


def test_a_camera_that_rests_goes_no_way(views):
    gray = cv2.cvtColor(views[0], cv2.COLOR_RGB2GRAY)
    noisy = [np.clip(gray + RANDOM.normal(0.0, 3.0, gray.shape), 0, 255).astype(np.uint8) for _ in range(30)]
    assert np.ptp(measure_frames(noisy).position) < 0.004


def test_blur_is_measured_without_comparison(views):
    gray = cv2.cvtColor(cv2.resize(views[0], None, fx=2.5, fy=2.5), cv2.COLOR_RGB2GRAY)
    levels = [blur(gray)] + [blur(cv2.GaussianBlur(gray, None, sigma)) for sigma in (2.0, 4.0)]
    assert levels == sorted(levels)
    assert levels[0] < 0.8 < levels[1]


@pytest.mark.parametrize(("degrees", "turned"), [(0, 0), (90, 1), (180, 2), (270, 3)])
def test_the_rotation_that_a_phone_notes_is_applied_once(views, tmp_path, degrees, turned):
    write_video(tmp_path / "plain.mp4", views[:4], fps=30)
    path = tmp_path / "turned.mp4"
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-display_rotation", str(degrees),
         "-i", tmp_path / "plain.mp4", "-c", "copy", path], check=True,
    )  # fmt: skip
    found, _ = run(path, tmp_path)
    expected = np.rot90(views[0], turned)
    assert found[0].size == (expected.shape[1], expected.shape[0])
    image = read_image(tmp_path / "working/frames" / found[0].name)
    assert np.abs(image.astype(int) - expected).mean() < 8


def test_what_will_show_in_the_surface_is_said_at_once(views, tmp_path, caplog):
    large = [cv2.GaussianBlur(cv2.resize(view, None, fx=2.7, fy=2.7), None, 5) for view in views]
    for i, view in enumerate(large):
        write_jpeg(tmp_path / f"photos/{i}.jpg", view)
    run(tmp_path / "photos", tmp_path)
    assert "12 of 12 images are blurred, so fine detail will be missing" in caplog.text
    assert "12 images are few" in caplog.text


def test_large_images_shrink(views, tmp_path):
    write_video(tmp_path / "clip.mp4", views[:5], fps=30)
    assert {frame.size for frame in run(tmp_path / "clip.mp4", tmp_path, max_side=120)[0]} == {(120, 90)}


def test_photos_are_upright_unique_and_keep_their_files(views, tmp_path, caplog):
    folder = tmp_path / "photos"
    for i, view in enumerate(views[:4]):
        write_jpeg(folder / f"IMG {i}.jpg", view)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    write_jpeg(folder / "turned.jpg", np.rot90(views[5]), exif.tobytes())
    write_png(folder / "IMG 10.png", views[6])
    (folder / "copy.jpg").write_bytes((folder / "IMG 2.jpg").read_bytes())
    found, report = run(folder, tmp_path)
    assert [frame.source for frame in found] == [*(f"IMG {i}.jpg" for i in range(4)), "IMG 10.png", "turned.jpg"]
    assert [frame.name for frame in found] == [*(f"IMG_{i}.jpg" for i in range(4)), "IMG_10.jpg", "turned.jpg"]
    assert (report["photos"], report["copies"], report["frames"]) == (7, 1, 6)
    assert "left out 1 copy of other photos, first" in caplog.text
    kept = tmp_path / "working/frames"
    assert (kept / "IMG_0.jpg").read_bytes() == (folder / "IMG 0.jpg").read_bytes()
    with Image.open(kept / "turned.jpg") as turned:
        assert turned.size == (WIDTH, HEIGHT)
        assert (turned.getexif().get(0x0112, 1), turned.getexif()[0x010F]) == (1, "Maker")


def test_some_photos_of_a_folder(views, tmp_path):
    for number, view in enumerate(views):
        write_jpeg(tmp_path / "photos" / f"{number}.jpg", view)
    found, _ = run(tmp_path / "photos", tmp_path, photos=("2.jpg", "10.jpg", "5.jpg"))
    assert [frame.source for frame in found] == ["2.jpg", "5.jpg", "10.jpg"]


def test_photos_of_different_sizes_are_allowed_and_told(views, tmp_path, caplog):
    caplog.set_level("INFO")
    for i, view in enumerate(views[:4]):
        write_png(tmp_path / f"photos/{i}.png", view[: HEIGHT - 20 * (i % 2)])
    assert len(run(tmp_path / "photos", tmp_path)[0]) == 4
    assert "photos of 2 sizes (240x160, 240x180): each size has a camera of its own" in caplog.text
    assert "images: all other stages take about" in caplog.text


def make_input(kind, tmp_path, views):
    path = tmp_path / "input"
    if kind == "no frames":
        write_video(path.with_suffix(".mp4"), views[:3], fps=30)
        whole = path.with_suffix(".mp4").read_bytes()
        path.with_suffix(".mp4").write_bytes(whole[: whole.index(b"mdat") + 4])
        return path.with_suffix(".mp4")
    if kind == "no video":
        path.with_suffix(".mp4").write_bytes(RANDOM.bytes(5000))
        return path.with_suffix(".mp4")
    if kind == "sound":
        subprocess.run(
            [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "sine=duration=0.2", "-y",
             path.with_suffix(".m4a")], check=True,
        )  # fmt: skip
        return path.with_suffix(".m4a")
    if kind == "still":
        write_video(path.with_suffix(".mp4"), views[:1] * 20, fps=30)
        return path.with_suffix(".mp4")
    if kind == "one photo":
        write_jpeg(path.with_suffix(".jpg"), views[0])
        return path.with_suffix(".jpg")
    path.mkdir()
    for i in range({"two photos": 2, "identical": 4, "unreadable": 3}.get(kind, 0)):
        write_jpeg(path / f"{i}.jpg", views[0 if kind == "identical" else i])
    if kind == "unreadable":
        (path / "1.jpg").write_bytes((path / "1.jpg").read_bytes()[:500])
    return path


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("no frames", DataError, "expected a video, got a file that cannot be decoded"),
        ("no video", DataError, "expected a video, got a file that cannot be decoded"),
        ("sound", DataError, "got a file without a video stream"),
        ("still", CaptureError, "expected at least 3 frames that show something new, got 1 among 20 frames"),
        ("one photo", CaptureError, "is one photo. Give the folder of all photos"),
        ("two photos", CaptureError, r"expected at least 3 photos, better 40 from all around the object, got 2\. Take"),
        ("identical", CaptureError, "expected at least 3 photos, .* got 4, only 1 of them distinct"),
        ("unreadable", DataError, r"1\.jpg: expected a complete image file"),
        ("empty", DataError, "got none. Put the images there"),
    ],
)
def test_bad_input_is_told_in_a_sentence(kind, error, said, views, tmp_path):
    with pytest.raises(error, match=said) as caught:
        run(make_input(kind, tmp_path, views), tmp_path)
    assert isinstance(caught.value, InputError)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frames": 2}, "--frames: expected at least 3"),
        ({"max_side": 10}, "--max-side"),
        ({"camera_model": "FISH"}, "--camera-model"),
        ({"scale": -1.0}, "--scale"),
        ({"roi": "1,2"}, "--roi"),
        ({"masks": "nowhere"}, "--masks: expected auto, rembg or a folder"),
        ({"root": "."}, "INPUT and OUT are the same folder"),
    ],
)
def test_bad_options_are_refused(options, said, tmp_path):
    options = {"root": tmp_path / "out"} | {key: Path(v) if key == "root" else v for key, v in options.items()}
    with pytest.raises(ConfigError, match=said):
        CaptureOptions(source=Path("."), **options)


def test_photos_of_other_profiles_become_srgb_files(views, tmp_path):
    source = tmp_path / "photos"
    source.mkdir()
    for number, view in enumerate(views):
        profile = rgb_profile(P3, 2.2) if number % 2 else None
        Image.fromarray(view).save(source / f"{number:02d}.jpg", quality=95, icc_profile=profile)
    found, _ = run(source, tmp_path)
    for frame in found:
        written, photo = tmp_path / "working/frames" / frame.name, source / frame.source
        is_p3 = int(photo.stem) % 2
        assert (written.read_bytes() == photo.read_bytes()) != is_p3
        with Image.open(written) as image:
            assert image.info.get("icc_profile") is None  # COLMAP and others that read it know of none
            stored = np.asarray(image).astype(int)
        assert np.abs(stored - read_image(photo)).mean() < 1.5
        assert (np.abs(stored - np.asarray(Image.open(photo))).mean() > 2) == is_p3


def test_the_same_photo_in_two_formats_is_used_once(views, tmp_path, caplog):
    for number, view in enumerate(views[:5]):
        write_jpeg(tmp_path / "photos" / f"IMG_{number}.jpg", view)
    write_png(tmp_path / "photos/img_1.png", cv2.resize(views[1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    write_png(tmp_path / "photos/IMG_3.png", views[8])  # another photo
    found, report = run(tmp_path / "photos", tmp_path)
    assert (len(found), report["copies"]) == (6, 1)
    assert {frame.source for frame in found} >= {"IMG_3.jpg", "IMG_3.png"}
    assert "left out 1 copy of other photos, first" in caplog.text


def test_black_images_do_not_end_a_way(views):
    """A video that fades in, and one whose lens was covered for a moment."""
    grays = [cv2.cvtColor(view, cv2.COLOR_RGB2GRAY) for view in views[:8]]
    black = np.zeros_like(grays[0])
    way = np.ptp(measure_frames(grays).position)
    assert np.ptp(measure_frames([black, black, *grays]).position) == pytest.approx(way, rel=1e-6)
    assert np.ptp(measure_frames([*grays[:4], black, *grays[4:]]).position) == pytest.approx(way, rel=0.5)
