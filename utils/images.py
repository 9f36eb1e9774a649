"""Reads, resizes and writes 8-bit sRGB images.

Pillow reads every format: it refuses truncated files instead of returning what it could decode, knows the EXIF
orientation of all formats, palettes and grey + alpha, and lets go of the interpreter lock while it decodes."""

import importlib.util
import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, features

from utils.colour_profiles import is_srgb, set_srgb, to_srgb
from utils.errors import DataError

HEIF_SUFFIXES = (".heic", ".heif", ".hif")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_HAS_HEIF = importlib.util.find_spec("pillow_heif") is not None  # an extra
_HAS_AVIF = features.check("avif")  # not in every build of Pillow
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
SUFFIXES += ((".avif",) if _HAS_AVIF else ()) + (HEIF_SUFFIXES if _HAS_HEIF else ())
_ORIENTATION = 0x0112  # the EXIF tag
_PNG_TELLS = {b"eXIf", b"tEXt", b"zTXt", b"iTXt"}  # chunks that may hold it
_TURNS = {  # what makes pixels upright, by the value of the tag
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PNG_LEVEL = 3  # of 9: a tenth larger than with the usual 6, in two fifths of the time
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")  # what a file is read as, whatever its name says
_FORMATS += (("AVIF",) if _HAS_AVIF else ()) + (("HEIF",) if _HAS_HEIF else ())
MAX_PIXELS = 2**27  # of an image, 134 million: a file of few bytes may announce any number
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own bound, of which it warns, and refuses twice as many
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # `read_image` refuses these


def read_image(path: Path | str, orientation: int | None = None) -> np.ndarray:
    """(H, W, 3) or, when the file carries alpha, (H, W, 4) uint8; sRGB, straight alpha, EXIF rotation applied.

    orientation: a value of the EXIF tag, 1 to 8, that is applied to the pixels as stored in place of the file's own; 1
    leaves them as they are. Greyscale becomes RGB, 16 bits become 8, and other colours become sRGB by the file's
    profile, see `colour_profiles.to_srgb`. Raises DataError for a missing, truncated or unreadable file, for CMYK
    without a profile and, before it is decoded, for one of more than MAX_PIXELS."""
    _require_file(path)
    try:
        with _open(path) as file:
            if file.width * file.height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{file.width}x{file.height}")
            if orientation is None:
                return _to_uint8(ImageOps.exif_transpose(file), path)
            return _to_uint8(_turn(_as_stored(file), orientation), path)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{path}: expected an image of at most {MAX_PIXELS // 10**6} million pixels, got more ({error}). Make it "
            f"smaller, and all others of its camera by the same factor."
        ) from error
    except Exception as error:  # decoders of damaged files raise whatever they stumble over
        if _is_heif(path) and not _HAS_HEIF:
            raise DataError(
                f"{path}: is HEIC, whatever its name says, and cannot be read: pip install pillow-heif, or convert it."
            ) from error
        raise DataError(
            f"{path}: expected a complete image file, got one that cannot be decoded ({error}). "
            f"Copy the file again, or convert it to PNG."
        ) from error


def _require_file(path: Path | str) -> None:
    if not Path(path).is_file():
        raise DataError(f"{path}: no such image. Check the path, or whether the copy of the dataset is complete.")


def stored_size(path: Path | str) -> tuple[tuple[int, int], int]:
    """Width and height of the pixels of an image as stored, and its EXIF orientation, 1 to 8; decodes nothing.

    Raises DataError for a missing file and for one that is no image."""
    _require_file(path)
    try:
        with _open(path) as file:
            tag = _tag(file)
            # Pillow announces a TIFF at the size that it will turn it to
            turned = file.format == "TIFF" and tag >= 5
            return (file.height, file.width) if turned else file.size, tag
    except Exception as error:
        raise DataError(
            f"{path}: expected an image file, got one that cannot be read ({error}). Copy the file again, or convert "
            f"it to PNG."
        ) from error


def _tag(file: Image.Image) -> int:
    # Pillow decodes a PNG before it tells its EXIF data, since some may come behind the pixels.
    is_told = file.format == "PNG" and not _tells_behind_pixels(file.filename)
    tag = (Image.Image.getexif(file) if is_told else file.getexif()).get(_ORIENTATION, 1)
    return tag if tag in _TURNS else 1


def _tells_behind_pixels(path: Path | str) -> bool:
    """Whether a PNG has EXIF data or text behind the first chunk of its pixels; reads the heads of its chunks only."""
    is_behind = False
    with open(path, "rb", buffering=0) as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            is_behind = is_behind or head[4:] == b"IDAT"
            if is_behind and head[4:] in _PNG_TELLS:
                return True
            file.seek(int.from_bytes(head[:4]) + 4, 1)  # and the checksum
    return False


def _as_stored(file: Image.Image) -> Image.Image:
    """The pixels of a file in the order in which it holds them; Pillow turns those of a TIFF as it decodes them."""
    tag = _tag(file)
    file.load()
    return _turn(file, inverse_orientation(tag)) if file.format == "TIFF" else file


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    method = _TURNS[orientation]
    return image if method is None else image.transpose(method)


def inverse_orientation(orientation: int) -> int:
    """The EXIF orientation, 1 to 8, that takes upright pixels back to those that were stored with `orientation`."""
    return {6: 8, 8: 6}.get(orientation, orientation)


def _open(path: Path | str) -> Image.Image:
    """The image of a file, not yet decoded; raises what Pillow does."""
    if _HAS_HEIF and "HEIF" not in Image.OPEN and _is_heif(path):
        import pillow_heif  # slow to import, and few folders need it

        pillow_heif.register_heif_opener()
    return Image.open(path, formats=_FORMATS if "HEIF" in Image.OPEN else [f for f in _FORMATS if f != "HEIF"])


def _is_heif(path: Path | str) -> bool:
    """Whether a file is HEIC by its name, or by its first bytes (ISO 23008-12) whatever its name says."""
    if Path(path).suffix.lower() in HEIF_SUFFIXES:
        return True
    with open(path, "rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS


def _to_uint8(image: Image.Image, path: Path | str) -> np.ndarray:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow reduces 16-bit colour on its own
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        info, image = image.info, Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
        image.info = {"icc_profile": info.get("icc_profile")}
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known sRGB scale")
    return np.array(to_srgb(image, path))


def resize_area(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`image` (H, W, 3|4) uint8 averaged to `size` (width, height); RGBA is averaged premultiplied by alpha.

    Colour under zero alpha never leaks; where the averaged alpha is zero the colour is black."""
    if (image.shape[1], image.shape[0]) == tuple(size):
        return image
    import cv2  # a quarter of a second, which checking a config does not need

    shrinks = size[0] <= image.shape[1] and size[1] <= image.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    if image.shape[2] == 3:
        return cv2.resize(image, size, interpolation=method)
    alpha = image[..., 3:].astype(np.float32) / 255.0
    mean = cv2.resize(np.concatenate([image[..., :3] * alpha, alpha], axis=2), size, interpolation=method)
    colour = mean[..., :3] / np.maximum(mean[..., 3:], 1e-6)
    return np.rint(np.concatenate([colour, mean[..., 3:] * 255.0], axis=2)).clip(0, 255).astype(np.uint8)


def linear_from_srgb(values: np.ndarray) -> np.ndarray:
    """The linear light in [0, 1] of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(values: np.ndarray) -> np.ndarray:
    """The sRGB values in [0, 1] of linear light in [0, 1]; the inverse of `linear_from_srgb`."""
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1.0 / 2.4) - 0.055)


def write_png(path: Path | str, image: np.ndarray) -> None:
    """Writes (H, W), (H, W, 3) or (H, W, 4) uint8 as PNG; makes the folder."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    _save_png(image, path)  # by Pillow, which leaves no half of a file where the disk is full


def png_bytes(image: np.ndarray) -> bytes:
    """(H, W), (H, W, 3) or (H, W, 4) uint8 as the content of a PNG file."""
    out = io.BytesIO()
    _save_png(image, out)
    return out.getvalue()


def _save_png(image: np.ndarray, to: Path | str | io.BytesIO) -> None:
    Image.fromarray(image).save(to, format="PNG", compress_level=_PNG_LEVEL)


def write_jpeg(path: Path | str, image: np.ndarray, exif: bytes = b"") -> None:
    """Writes (H, W, 3) uint8 as JPEG without visible loss; makes the folder. exif: as `upright_exif` gives it."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, format="JPEG", quality=95, subsampling=0, exif=exif)


def upright_exif(path: Path | str) -> tuple[bytes, bool]:
    """The EXIF data of an image, as of an upright one in sRGB, and whether its pixels are stored so."""
    with _open(path) as file:
        exif, unchanged = file.getexif(), is_srgb(file, path)
        if not unchanged:
            set_srgb(exif)
        unchanged = exif.pop(_ORIENTATION, 1) == 1 and unchanged
        return exif.tobytes() if len(exif) else b"", unchanged
