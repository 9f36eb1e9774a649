"""Reading every kind of image file as 8-bit sRGB, and averaging with alpha."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from utils.errors import DataError
from utils.images import linear_from_srgb, read_image, resize_area, srgb_from_linear, write_png

RANDOM = np.random.default_rng(0).integers(0, 256, (12, 20, 4), dtype=np.uint8)


def png_bytes(pixels: np.ndarray, colour_type: int) -> bytes:
    """A 16-bit PNG of (H, W, C) uint16, made by hand: most writers cannot."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [3, 4])
def test_png_round_trip(tmp_path, channels):
    write_png(tmp_path / "new/a.png", RANDOM[..., :channels])
    np.testing.assert_array_equal(read_image(tmp_path / "new/a.png"), RANDOM[..., :channels])


def test_grey_becomes_rgb(tmp_path):
    write_png(tmp_path / "grey.png", RANDOM[..., 0])
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), RANDOM[..., [0, 0, 0]])
    Image.fromarray(RANDOM[..., [0, 3]], mode="LA").save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), RANDOM[..., [0, 0, 0, 3]])


def test_palette_with_transparency_becomes_rgba(tmp_path):
    image = Image.fromarray(RANDOM[..., 0] % 4, mode="P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    image.save(tmp_path / "p.png", transparency=2)
    pixels = read_image(tmp_path / "p.png")
    np.testing.assert_array_equal(pixels[..., 3], np.where(RANDOM[..., 0] % 4 == 2, 0, 255))
    np.testing.assert_array_equal(pixels[..., 0], 10 + 30 * (RANDOM[..., 0] % 4))


@pytest.mark.parametrize(("channels", "colour_type"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_sixteen_bits_become_eight(tmp_path, channels, colour_type):
    expected = RANDOM[..., {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]]
    (tmp_path / "deep.png").write_bytes(png_bytes(expected.astype(np.uint16) * 257, colour_type))
    pixels = read_image(tmp_path / "deep.png")
    order = {1: [0, 0, 0], 2: [0, 0, 0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]
    np.testing.assert_array_equal(pixels, RANDOM[..., order])


@pytest.mark.parametrize("suffix", ["jpg", "webp", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_once(tmp_path, suffix, orientation):
    y, x = np.mgrid[:64, :96]
    upright = np.stack([x * 2, y * 3, 255 - x - y], axis=2).astype(np.uint8)
    # what a camera stores: the upright picture after the inverse of the tagged operation
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.swapaxes(0, 1),
        6: np.rot90(upright), 7: np.rot90(upright.swapaxes(0, 1), 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"a.{suffix}", exif=exif, quality=98)
    pixels = read_image(tmp_path / f"a.{suffix}")
    assert pixels.shape == upright.shape
    assert np.abs(pixels.astype(int) - upright).mean() < 3


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path, suffix, share):
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (80, 80, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=f"cut.{suffix}"):
        read_image(path)


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such image"):
        read_image(tmp_path / "nothing.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(DataError, match=r"text\.png"):
        read_image(tmp_path / "text.png")
    Image.fromarray(np.zeros((3, 3), np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(DataError, match="floating-point"):
        read_image(tmp_path / "float.tiff")


def test_resizing_commutes_with_compositing():
    background = np.array([200.0, 30.0, 90.0])

    def over(image):
        alpha = image[..., 3:] / 255.0
        return image[..., :3] * alpha + background * (1 - alpha)

    small = over(resize_area(RANDOM, (10, 6)))
    expected = over(RANDOM).reshape(6, 2, 10, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - expected).max() < 1.5  # three roundings to 8 bits


def test_resizing_rgb_averages_and_transparent_colour_never_leaks():
    small = resize_area(RANDOM[..., :3], (5, 3))
    assert np.abs(small - RANDOM[..., :3].reshape(3, 4, 5, 4, 3).mean(axis=(1, 3))).max() <= 0.51
    image = RANDOM.copy()
    image[..., :3] = np.where(image[..., 3:] > 128, [10, 20, 30], image[..., :3])
    image[..., 3] = np.where(image[..., 3] > 128, 255, 0)
    small = resize_area(image, (5, 3))
    np.testing.assert_array_equal(
        small[small[..., 3] > 0][:, :3], np.tile([10, 20, 30], ((small[..., 3] > 0).sum(), 1))
    )


def test_linear_light_round_trip():
    values = np.linspace(0.0, 1.0, 256)
    np.testing.assert_allclose(srgb_from_linear(linear_from_srgb(values)), values, atol=1e-12)
    assert linear_from_srgb(np.array([0.5]))[0] == pytest.approx(0.21404, abs=1e-5)
