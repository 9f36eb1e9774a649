"""Colours, pixels and turns of videos are those that the file means: HDR, matrices, ranges, aspects, interlacing."""

import logging
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from datasets.capture.frames import video_colours
from datasets.capture.frames.footage import Footage, parse_footage
from datasets.capture.frames.stage import extract_frames
from datasets.capture.frames.video import read_footage, read_video
from datasets.capture.frames.video_colours import hlg_scene_light, pq_eotf, pq_from_light, primaries_to_srgb, roll_off
from datasets.capture.options import CaptureOptions
from utils.errors import InputError
from utils.images import linear_from_srgb

PATCHES = np.array([[200, 60, 50], [70, 170, 80], [60, 80, 190], [180, 180, 180], [230, 230, 230], [30, 30, 30]])
SIZE = (192, 64)  # 6 patches of 32 pixels


def patches() -> np.ndarray:
    """(64, 192, 3) float64 sRGB in [0, 255]."""
    return np.repeat(np.repeat(PATCHES[None], 32, axis=1), 64, axis=0).astype(float)


def encode(path: Path, values: np.ndarray, *flags: str, filters: str = "null", before: tuple[str, ...] = ()) -> Path:
    """Writes 3 like frames of values (H, W, 3) in [0, 1]."""
    raw = np.rint(values * 65535).astype("<u2").tobytes() * 3
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb48le"]
    command += ["-s", f"{values.shape[1]}x{values.shape[0]}", "-r", "5", "-i", "-", *before, "-vf", filters]
    subprocess.run([*command, *flags, str(path)], input=raw, check=True)
    return path


def encode_hdr(path: Path, values: np.ndarray, transfer: str) -> Path:
    tags = f"log-level=error:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
    return encode(
        path, values, "-c:v", "libx265", "-crf", "8", "-tag:v", "hvc1", "-x265-params", tags,
        filters="scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le",
    )  # fmt: skip


def colours(frame: np.ndarray) -> np.ndarray:
    """(6, 3) mean of the middle of each patch."""
    parts = np.array_split(frame.astype(float), 6, axis=1)
    return np.array([part[16:-16, 8:-8].mean(axis=(0, 1)) for part in parts])


def light_2020() -> np.ndarray:
    return linear_from_srgb(patches() / 255) @ np.linalg.inv(primaries_to_srgb("bt2020")).T


def test_curves_have_the_levels_of_the_standards():
    assert pq_eotf(np.array([0.58])) == pytest.approx(203, rel=0.01)  # BT.2408, table 1
    assert pq_from_light(pq_eotf(np.linspace(0, 1, 9))) == pytest.approx(np.linspace(0, 1, 9), abs=1e-6)
    assert 1000 * hlg_scene_light(np.array([0.75])) ** 1.2 == pytest.approx(203, rel=0.01)
    assert hlg_scene_light(np.array([0.5, 1.0])) == pytest.approx([1 / 12, 1.0], abs=1e-6)
    mapped = roll_off(np.array([1.0, 50.0, 203.0, 600.0, 1000.0, 4000.0]), 203.0)
    assert mapped[:2] == pytest.approx([1.0, 50.0], rel=1e-6)
    assert (np.diff(mapped[:5]) > 0).all()
    assert mapped[4:] == pytest.approx([203.0, 203.0], rel=1e-6)
    assert primaries_to_srgb("bt2020") @ np.ones(3) == pytest.approx(np.ones(3), abs=1e-5)
    assert primaries_to_srgb("bt2020")[0, 0] == pytest.approx(1.6605, abs=1e-3)  # BT.2087


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_shows_the_colours_of_the_scene(transfer, tmp_path):
    light = 203.0 * light_2020()
    if transfer == "smpte2084":
        values = pq_from_light(light)
    else:
        luminance = (light / 1000) @ video_colours._LUMINANCE_2020
        scene = light / 1000 / luminance[..., None] ** (0.2 / 1.2)
        levels = np.linspace(0, 1, 65536)
        values = np.interp(scene, hlg_scene_light(levels), levels)
    path = encode_hdr(tmp_path / "clip.mov", values, transfer)
    footage = read_footage(path)
    (frame, *_), (grey, *_) = list(read_video(path, 400)), list(read_video(path, 400, gray=True))
    assert footage.is_hdr
    assert footage.white == pytest.approx(203)
    assert np.abs(colours(frame) - PATCHES)[[0, 1, 2, 3, 5]].max() < 12
    assert 205 < colours(frame)[4].mean() < 230  # near white the curve rolls off
    assert float(grey[32, 112]) == pytest.approx(180, abs=12)


def test_a_dark_hdr_video_is_not_left_dark(tmp_path):
    path = encode_hdr(tmp_path / "clip.mov", pq_from_light(60.0 * light_2020()), "smpte2084")
    assert read_footage(path).white == 100
    assert colours(next(read_video(path, 400))).mean() > 0.7 * PATCHES.mean()


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt2020nc"])
@pytest.mark.parametrize("value_range", ["tv", "pc"])
def test_matrix_and_range_are_those_of_the_file(matrix, value_range, tmp_path):
    name = {"smpte170m": "bt601", "bt2020nc": "bt2020"}.get(matrix, matrix)
    path = encode(
        tmp_path / "clip.mp4", patches() / 255, "-c:v", "libx264", "-crf", "6",
        filters=f"scale=out_color_matrix={name}:out_range={value_range},format=yuv420p,"
        f"setparams=colorspace={matrix}:range={value_range}:color_primaries=bt709:color_trc=bt709",
    )  # fmt: skip
    footage = read_footage(path)
    assert (footage.matrix, footage.range) == (matrix, value_range)
    assert np.abs(colours(next(read_video(path, 400))) - PATCHES).max() < 5
    assert any("full range" in text for text in footage.unusual()) == (value_range == "pc")


def test_an_unnamed_matrix_follows_the_size(tmp_path):
    assert Footage(size=(640, 480)).used_matrix == "bt601"
    assert Footage(size=(1080, 1920)).used_matrix == "bt709"
    assert Footage(size=(1080, 1920), primaries="bt2020").used_matrix == "bt2020"


def test_display_p3_becomes_srgb(tmp_path):
    light = linear_from_srgb(patches() / 255) @ np.linalg.inv(primaries_to_srgb("smpte432")).T
    path = encode(
        tmp_path / "clip.mp4", np.interp(light, linear_from_srgb(np.linspace(0, 1, 4096)), np.linspace(0, 1, 4096)),
        "-c:v", "libx264", "-crf", "6",
        filters="scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,"
        "setparams=colorspace=bt709:range=tv:color_primaries=smpte432:color_trc=bt709",
    )  # fmt: skip
    assert np.abs(colours(next(read_video(path, 400))) - PATCHES).max() < 6


@pytest.mark.parametrize(("stored", "aspect"), [("96:64", "2"), ("192:48", "3/4")])
@pytest.mark.parametrize("turn", [0, 90])
def test_pixels_become_square(stored, aspect, turn, tmp_path):
    flat = encode(
        tmp_path / "flat.mov", patches() / 255, "-c:v", "libx264", "-crf", "6", "-pix_fmt", "yuv420p",
        filters=f"scale={stored},setsar={aspect}",
    )  # fmt: skip
    path = tmp_path / "clip.mov"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-display_rotation", str(turn), "-i", str(flat)]
    subprocess.run([*command, "-c", "copy", str(path)], check=True)
    for max_side, shown in ((400, (64, 192)), (96, (32, 96))):
        frame = next(read_video(path, max_side))
        assert frame.shape[:2] == (shown if turn == 0 else shown[::-1])
    frame = next(read_video(path, 400))
    assert np.abs(colours(frame if turn == 0 else np.rot90(frame, -1)) - PATCHES).max() < 6
    told = " ".join(read_footage(path).unusual())
    assert "made square" in told
    assert ("turned by 90" in told) == (turn == 90)


def test_interlaced_frames_are_made_whole(tmp_path):
    path = encode(
        tmp_path / "clip.mpg", patches() / 255, "-c:v", "mpeg2video", "-q:v", "2", "-pix_fmt", "yuv420p",
        "-flags", "+ilme+ildct", filters="setfield=tff",
    )  # fmt: skip
    assert read_footage(path).interlaced
    assert len(list(read_video(path, 400))) == 3
    assert len(list(read_video(path, 400, chosen=[0, 2]))) == 2


def test_what_is_unusual_is_said_once(tmp_path, caplog):
    path = encode_hdr(tmp_path / "clip.mov", pq_from_light(203.0 * light_2020()), "smpte2084")
    (tmp_path / "working").mkdir()
    with caplog.at_level(logging.INFO), pytest.raises(InputError):  # it shows too little
        extract_frames(CaptureOptions(path, tmp_path / "out"), tmp_path / "working")
    assert caplog.text.count("clip.mov: HDR (PQ), tone-mapped to sRGB with white at 203 cd/m²") == 1


def test_what_cannot_be_undone_is_a_doubt():
    text = (
        "Stream #0:0: Video: hevc\n  DOVI configuration record: version: 1.0, profile: 5, level: 6, rl flag: 1, "
        "el flag: 0, bl flag: 1, compatibility id: 0\nStream mapping:\n n: 0 fmt:yuv420p10le cl:left sar:0/1 s:64x48 "
        "i:P iskey:1\ncolor_range:pc color_space:ipt-c2 color_primaries:bt2020 color_trc:log100"
    )
    footage = parse_footage(text)
    assert (footage.sample_aspect, footage.dolby_profile) == (1.0, 5)
    assert [("log100" in doubt, "Dolby" in doubt) for doubt in footage.doubts()] == [(True, False), (False, True)]
    assert parse_footage("no video") == Footage(pixel_format="")
    assert parse_footage("no video").unusual() == []


def test_several_videos_in_one_file_are_told_and_no_video_has_nothing_to_tell():
    frame = "Stream mapping:\n n: 0 fmt:yuv420p cl:left sar:1/1 s:64x48 i:P iskey:1"
    streams = "Stream #0:0: Video: h264\nStream #0:1: Video: hevc\nStream #0:2: Video: mjpeg (attached pic)\n"
    assert "2 videos in one file, of which the first is used" in parse_footage(streams + frame).unusual()
    assert Footage().unusual() == []
