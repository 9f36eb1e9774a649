"""Camera models that a transforms.json names: those of COLMAP, by its names, and the keys of their distortion."""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from datasets.geometry.eighth_order import EIGHTH_ORDER
from datasets.geometry.lens import refuse_panorama
from utils.errors import DataError

log = logging.getLogger(__name__)
_RADIAL = ("k1", "k2", "k3", "k4", "p1", "p2")
# the keys of each model, in the order of COLMAP's parameters; None: not by COLMAP's model of that name, see below
_KEYS: dict[str, tuple[str, ...] | None] = {
    **dict.fromkeys(("PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "PERSPECTIVE")),
    **dict.fromkeys(
        ("OPENCV_FISHEYE", "SIMPLE_FISHEYE", "FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE")
    ),
    "FULL_OPENCV": ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "FOV": ("omega",),
    "RAD_TAN_THIN_PRISM_FISHEYE": ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2", "s1", "s2", "s3", "s4"),
    "SIMPLE_DIVISION": ("k",),
    "DIVISION": ("k",),
    "EUCM": ("alpha", "beta"),
}
_FROM_ZERO = ("k0", "k1", "k2", "k3", "k4", "k5", "p0", "p1", "s0", "s1", "s2", "s3")  # as COLMAP counts the above
_PANORAMA_KEYS = ("equirectangular", "latlong")  # of instant-ngp
_REQUIRED = ("omega", "k", "alpha", "beta")  # keys that a model cannot do without
_COEFFICIENTS = ("k", *_RADIAL, "k5", "k6", "p3", "p4", "b1", "b2", "sx1", "sy1", "omega", "s1", "s2", "s3", "s4")
COEFFICIENTS = tuple(dict.fromkeys((*_COEFFICIENTS, *_FROM_ZERO, *_REQUIRED)))  # every key that some model reads


def lens_kind(values: dict[str, Any], where: str) -> str:
    """The name of the camera model that a frame's values tell, in COLMAP's spelling. Raises DataError for others."""
    named, is_fisheye = values.get("camera_model"), values.get("is_fisheye")
    if is_fisheye not in (None, False, True):
        raise DataError(f"{where}: expected is_fisheye to be true or false, got {is_fisheye!r}.")
    if key := next((key for key in _PANORAMA_KEYS if values.get(key)), None):
        refuse_panorama("equirectangular", f"{where}: {key}")
    if values.get("ftheta_p0") is not None:
        raise DataError(
            f"{where}: expected a lens of COLMAP, got the polynomial ftheta_p0 to ftheta_p4 of instant-ngp. Undistort "
            f"the pictures, or fit k1 to k4 of camera_model OPENCV_FISHEYE to it."
        )
    kind = str(named).upper() if named else "OPENCV_FISHEYE" if is_fisheye else "OPENCV"
    refuse_panorama(kind, where)
    if kind not in _KEYS:
        raise DataError(
            f"{where}: expected camera_model to be one of {', '.join(_KEYS)}, got {named!r}. Undistort the pictures "
            f"and write camera_model PINHOLE."
        )
    if is_fisheye and _KEYS[kind] is None and "FISHEYE" not in kind:
        raise DataError(
            f"{where}: camera_model {named!r} and is_fisheye true contradict each other. Leave out the one that is "
            f"wrong: a fisheye lens is camera_model OPENCV_FISHEYE."
        )
    return kind


def distortion(
    kind: str, values: dict[str, Any], number: Callable[[str, float | None], float | None], where: str
) -> tuple[str, tuple[float, ...]]:
    """The model, of COLMAP or EIGHTH_ORDER, and its parameters behind fx, fy, cx, cy.

    kind: of `lens_kind`; number: the value of a key, or the default. k1 to k4 of a perspective lens multiply r^2, r^4,
    r^6, r^8 (Brown 1971), as nerfstudio and Metashape mean them; in FULL_OPENCV, k4 to k6 divide, and of a fisheye they
    multiply powers of the angle (Kannala & Brandt 2006, eq. 6). Raises DataError for a coefficient that the model does
    not have, and for one that it lacks."""
    keys = _KEYS[kind]
    if keys is not None and "k0" in values and len(keys) == len(_FROM_ZERO):
        return kind, tuple(number(key, 0.0) for key in _FROM_ZERO)
    known = keys if keys is not None else _RADIAL
    known = (*known, "sx1", "sy1") if keys is None and "FISHEYE" in kind else known
    first = "k1"
    if kind.startswith("SIMPLE_RADIAL") and values.get("k1") is None:  # COLMAP calls it k
        known, first = (*known, "k"), "k"
    for key in _COEFFICIENTS:
        if key not in known and values.get(key) is not None and number(key, 0.0) != 0.0:
            raise DataError(
                f"{where}: {key} is {values[key]}, but camera_model {kind} has no {key}. Name the model that it "
                f"belongs to (FULL_OPENCV has k1 to k6, THIN_PRISM_FISHEYE sx1 and sy1), or undistort the pictures."
            )
    if keys is not None:
        missing = [key for key in keys if key in _REQUIRED and number(key, None) is None]
        if missing:
            raise DataError(
                f"{where}: expected {' and '.join(missing)} beside camera_model {kind}, got none. Add it, or undistort "
                f"the pictures and write camera_model PINHOLE."
            )
        params = tuple(number(key, 0.0) for key in keys)
        if not any(params) and "FISHEYE" not in kind:
            return "PINHOLE", ()
        return "DIVISION" if kind == "SIMPLE_DIVISION" else kind, params
    k1, k2, k3, k4, p1, p2 = (number(key, 0.0) for key in (first, *_RADIAL[1:]))
    if "FISHEYE" in kind:
        prism = (number("sx1", 0.0), number("sy1", 0.0))
        if any((p1, p2, *prism)):
            return "THIN_PRISM_FISHEYE", (k1, k2, p1, p2, k3, k4, *prism)
        return "OPENCV_FISHEYE", (k1, k2, k3, k4)
    if not any((k1, k2, k3, k4, p1, p2)):
        return "PINHOLE", ()
    if k4:
        _tell_of_k4()
        return EIGHTH_ORDER, (k1, k2, p1, p2, k3, k4)
    return ("FULL_OPENCV", (k1, k2, p1, p2, k3, 0.0, 0.0, 0.0)) if k3 else ("OPENCV", (k1, k2, p1, p2))


@cache
def _tell_of_k4() -> None:
    log.info("k4 of a perspective lens multiplies r^8, as in nerfstudio and Metashape; FULL_OPENCV would divide by it")
