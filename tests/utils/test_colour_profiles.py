"""Images of other colour spaces become sRGB as their profiles say, and the log tells it once."""

import logging

import numpy as np
import pytest
from icc_profiles import P3, SRGB, cmyk_profile, grey_profile, rgb_profile, to_xyz
from PIL import Image

from utils import colour_profiles
from utils.images import read_image, srgb_from_linear, upright_exif

ADOBE = (0.640, 0.330, 0.210, 0.710, 0.150, 0.060)
PIXELS = np.random.default_rng(0).integers(30, 226, (12, 20, 4), dtype=np.uint8)


@pytest.fixture(autouse=True)
def fresh(monkeypatch, caplog):
    monkeypatch.setattr(colour_profiles, "_known", {})
    monkeypatch.setattr(colour_profiles, "_inks", [])
    caplog.set_level(logging.INFO)


def converted(pixels: np.ndarray, primaries: tuple[float, ...], gamma: float) -> np.ndarray:
    """(..., 3) uint8 sRGB of such pixels, by the definition of the space."""
    light = (pixels / 255.0) ** gamma @ (np.linalg.inv(to_xyz(SRGB)) @ to_xyz(primaries)).T
    return np.rint(255.0 * srgb_from_linear(np.clip(light, 0.0, 1.0)))


def differs(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize(("primaries", "gamma"), [(P3, 2.2), (ADOBE, 2.19921875), (SRGB, 1.8)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_rgb_profiles(tmp_path, caplog, primaries, gamma, mode):
    pixels = PIXELS[..., : len(mode)]
    for name in ("a.png", "b.png", "c.tiff", "d.webp"):
        Image.fromarray(pixels).save(tmp_path / name, icc_profile=rgb_profile(primaries, gamma), lossless=True)
        found = read_image(tmp_path / name)
        assert differs(found[..., :3], converted(pixels[..., :3], primaries, gamma)) <= 2
        np.testing.assert_array_equal(found[..., 3:], pixels[..., 3:])
    assert differs(found[..., :3], pixels[..., :3]) > 8
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "a.png" in caplog.text
    assert "'Test RGB', are converted to sRGB" in caplog.text


def test_turned_photos_and_palettes_are_converted_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "a.png", icc_profile=rgb_profile(P3, 2.2), exif=exif)
    wanted = converted(PIXELS[..., :3], P3, 2.2)
    assert differs(read_image(tmp_path / "a.png"), np.rot90(wanted, -1)) <= 2
    assert differs(read_image(tmp_path / "a.png", 1), wanted) <= 2
    indexed = Image.fromarray(PIXELS[..., 0] % 4, mode="P")
    indexed.putpalette(PIXELS[0, :4, :3].tobytes())
    indexed.save(tmp_path / "p.png", icc_profile=rgb_profile(P3, 2.2))
    assert differs(read_image(tmp_path / "p.png"), converted(np.asarray(indexed.convert("RGB")), P3, 2.2)) <= 2


def test_profiles_like_srgb_change_nothing(tmp_path, caplog):
    srgb = colour_profiles.ImageCms.ImageCmsProfile(colour_profiles.ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(PIXELS).save(tmp_path / "a.png", icc_profile=srgb)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), PIXELS)
    assert not caplog.records


def test_broken_profiles_are_told_once_and_pixels_stay(tmp_path, caplog):
    for name in ("a.png", "b.png"):
        Image.fromarray(PIXELS).save(tmp_path / name, icc_profile=rgb_profile(P3, 2.2)[:150])
        np.testing.assert_array_equal(read_image(tmp_path / name), PIXELS)
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "c.png", icc_profile=cmyk_profile())
    np.testing.assert_array_equal(read_image(tmp_path / "c.png"), PIXELS[..., :3])
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "a.png: its colour profile cannot be used" in caplog.text
    assert "CMYK pixels, these are RGB" in caplog.text


def test_grey(tmp_path, caplog):
    levels = np.tile(np.arange(0, 255, 6, dtype=np.uint8), (4, 1))
    wanted = np.rint(255.0 * srgb_from_linear((levels / 255.0) ** 1.8))
    for name, pixels in (("a.png", levels), ("deep.png", levels.astype(np.uint16) * 257), ("a.tiff", levels)):
        Image.fromarray(pixels).save(tmp_path / name, icc_profile=grey_profile(1.8))
        assert differs(read_image(tmp_path / name), np.repeat(wanted[..., None], 3, axis=-1)) <= 2, name
    Image.fromarray(np.stack([levels, 255 - levels], -1), mode="LA").save(
        tmp_path / "alpha.png", icc_profile=grey_profile(1.8)
    )
    found = read_image(tmp_path / "alpha.png")
    assert differs(found[..., 0], wanted) <= 2
    np.testing.assert_array_equal(found[..., 3], 255 - levels)
    Image.fromarray(levels).save(tmp_path / "of_rgb.png", icc_profile=rgb_profile(P3, 1.8))
    assert differs(read_image(tmp_path / "of_rgb.png"), np.repeat(wanted[..., None], 3, axis=-1)) <= 2
    Image.fromarray(levels).save(tmp_path / "plain.jpg", quality=100)
    assert differs(read_image(tmp_path / "plain.jpg"), levels[..., None]) <= 2
    assert len(caplog.records) == 2


def test_cmyk(tmp_path, caplog):
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:8, 8:, 3], inks[8:, :8, 0] = 255, 255  # white, black, cyan, white
    image = Image.fromarray(inks, mode="CMYK")
    image.save(tmp_path / "inks.tiff", icc_profile=cmyk_profile())
    found = read_image(tmp_path / "inks.tiff")
    assert found.shape == (16, 16, 3)
    assert (found[2, 2] > 250).all()
    assert (found[2, 12] < 8).all()
    assert found[12, 2, 1] > found[12, 2, 0] + 40  # its green is as strong as the Lab of the profile says
    assert "guess" not in caplog.text
    for name in ("none.tiff", "broken.tiff"):
        image.save(tmp_path / name, icc_profile=b"nothing" if name == "broken.tiff" else None)
        plain = read_image(tmp_path / name)
        assert (plain[2, 2] > 250).all()
        assert (plain[2, 12] < 8).all()
        assert plain[12, 2, 1] > plain[12, 2, 0] + 40
        assert not upright_exif(tmp_path / name)[1]
    assert caplog.text.count("so they are a guess") == 1


def adobe_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0110], exif[0x8769] = "Camera", {0xA001: 65535, 0xA005: {1: "R03"}, 0x920A: 50.0}
    return exif


def test_adobe_rgb_of_cameras_without_a_profile(tmp_path, caplog):
    y, x = np.mgrid[20:230:64j, 20:230:64j]
    pixels = np.stack([y, x, 250 - y], axis=-1).astype(np.uint8)
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(pixels).save(tmp_path / name, exif=adobe_exif(), quality=100, subsampling=0)
        found = read_image(tmp_path / name)
    wanted = converted(pixels, ADOBE, 2.19921875)
    assert np.abs(found - wanted).mean() < 1.0 < 10 < differs(pixels, wanted)
    assert caplog.text.count("Adobe RGB (1998)") == len(caplog.records) == 1
    exif, unchanged = upright_exif(tmp_path / "a.jpg")
    assert not unchanged
    Image.fromarray(found).save(tmp_path / "again.jpg", exif=exif, quality=100, subsampling=0)
    assert upright_exif(tmp_path / "again.jpg")[1]
    assert np.abs(read_image(tmp_path / "again.jpg").astype(int) - found).mean() < 1.0
    assert Image.open(tmp_path / "again.jpg").getexif().get_ifd(0x8769)[0x920A] == 50.0
