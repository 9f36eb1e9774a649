"""From the colours that an image file means to sRGB, by its ICC profile or by the Adobe RGB of cameras' EXIF data."""

import io
import logging
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image, ImageCms

log = logging.getLogger(__name__)
_PHOTO, _COLOUR_SPACE, _INTEROP = 0x8769, 0xA001, 0xA005  # EXIF tags: the directory of the others, which it holds
_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}  # of Pillow, by the space that an ICC profile is for
_SAME = 3  # levels of 255: profiles that are called sRGB differ by as much in the darkest colours
_D50 = (0.9642, 1.0, 0.8249)  # XYZ of the white of ICC profiles
# XYZ of red, green and blue of Adobe RGB (1998), adapted to D50, and its exponent
_ADOBE_COLOURS = (0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)
_ADOBE_GAMMA = 563.0 / 256.0


@dataclass(frozen=True)
class _Profile:
    """What an ICC profile comes to."""

    mode: str = "RGB"  # of the pixels that it is for
    transform: ImageCms.ImageCmsTransform | None = None  # to RGB; None: as good as sRGB, or the profile is broken


_known: dict[tuple[bytes, bool], _Profile] = {}  # with whether it is for CMYK pixels: each is read, and told, once
_lock = Lock()
_inks: list[Path | str] = []  # the first file of CMYK pixels without a profile; one line is enough


def to_srgb(image: Image.Image, path: Path | str) -> Image.Image:
    """The image as sRGB, of mode RGB, or RGBA where it has alpha.

    Tells the first file of each profile that is converted, or that cannot be used: then the pixels stay, and those of
    CMYK are what plain inks give."""
    profile = _profile_of(image, path)
    if image.mode == "CMYK" and profile.transform is None and not _inks:
        _inks.append(path)
        log.warning(
            "%s: CMYK without a profile that tells its colours, so they are a guess, as of other such images; export "
            "them as sRGB if colours matter",
            path,
        )
    plain = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if profile.transform is None:
        return plain
    colours = profile.transform.apply(image if image.mode == profile.mode else plain.convert(profile.mode))
    if plain.mode == "RGBA":
        colours.putalpha(plain.getchannel("A"))
    return colours


def is_srgb(image: Image.Image, path: Path | str) -> bool:
    """Whether `to_srgb` leaves the colours of an image as they are; decodes nothing."""
    return image.mode != "CMYK" and _profile_of(image, path).transform is None


def set_srgb(exif: Image.Exif) -> None:
    """Makes EXIF data say that the pixels are sRGB, where it tells anything about colours."""
    photo = exif.get_ifd(_PHOTO)
    if _COLOUR_SPACE in photo or _INTEROP in photo:
        exif[_PHOTO] = {tag: value for tag, value in photo.items() if tag != _INTEROP} | {_COLOUR_SPACE: 1}


@cache
def _adobe_rgb() -> bytes:
    """The ICC profile (ICC.1:2001-04) of Adobe RGB (1998)."""
    name, gamma = b"Adobe RGB (1998)\0", struct.pack(">4s4xIHxx", b"curv", 1, round(256 * _ADOBE_GAMMA))
    parts = {b"desc": struct.pack(">4s4xI", b"desc", len(name)) + name + bytes(79)}
    parts |= {tag: _xyz(colour) for tag, colour in zip((b"rXYZ", b"gXYZ", b"bXYZ"), _ADOBE_COLOURS, strict=True)}
    parts |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma) | {b"wtpt": _xyz(_D50)}
    table, body = struct.pack(">I", len(parts)), b""
    for tag, part in parts.items():
        table += tag + struct.pack(">II", 128 + 4 + 12 * len(parts) + len(body), len(part))
        body += part
    size, version = 128 + len(table) + len(body), 0x02400000
    head = struct.pack(">I4xI4s4s4s12x4s", size, version, b"mntr", b"RGB ", b"XYZ ", b"acsp").ljust(68, b"\0")
    return head + _xyz(_D50)[8:].ljust(60, b"\0") + table + body


def _xyz(values: tuple[float, ...]) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(65536 * value) for value in values))


def _profile_of(image: Image.Image, path: Path | str) -> _Profile:
    """The profile of an image, read once for all that carry it; that of sRGB where there is none or it is broken."""
    data = image.info.get("icc_profile") or (_adobe_rgb() if _is_adobe(image) else None)
    if not data:
        return _Profile()
    key = data, image.mode == "CMYK"
    with _lock:
        if key not in _known:
            _known[key] = _read(data, image.mode, path)
        return _known[key]


def _is_adobe(image: Image.Image) -> bool:
    """Whether a file is Adobe RGB by its EXIF data, as cameras write it without a profile (DCF 2.0: "R03")."""
    if image.mode != "RGB" or "exif" not in image.info:
        return False
    try:
        return str(image.getexif().get_ifd(_INTEROP).get(1, "")).startswith("R03")
    except Exception:  # of damaged data, anything
        return False


def _read(data: bytes, mode: str, path: Path | str) -> _Profile:
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = profile.profile.xcolor_space.strip()
        if space not in _MODES or (space == "CMYK") != (mode == "CMYK"):
            raise ValueError(f"it is for {space} pixels, these are {mode}")
        intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(profile, srgb, _MODES[space], "RGB", intent, flags)
        name = ImageCms.getProfileDescription(profile).strip() or space
        is_same = _is_as_srgb(transform, _MODES[space])
    except Exception as error:  # of damaged data, anything
        log.warning(
            "%s: its colour profile cannot be used (%s). Its pixels, and those of all images with this profile, are "
            "taken as sRGB; export them as sRGB if their colours are wrong",
            *(path, str(error).strip() or type(error).__name__),
        )
        return _Profile()
    if is_same:
        return _Profile(_MODES[space])
    log.info("%s: its colours, and those of all images of the profile '%s', are converted to sRGB", path, name)
    return _Profile(_MODES[space], transform)


def _is_as_srgb(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform leaves colours as they are, tried on 6 levels of each channel, or on all levels of grey."""
    if mode == "CMYK":
        return False
    levels = np.arange(0, 256, 51 if mode == "RGB" else 1, dtype=np.uint8)
    if mode == "L":
        colours = levels[None]
        wanted = np.repeat(colours[..., None], 3, axis=-1)
    else:
        colours = wanted = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(36, 6, 3)
    found = np.asarray(transform.apply(Image.fromarray(colours))).astype(int)
    return int(np.abs(found - wanted).max()) <= _SAME
