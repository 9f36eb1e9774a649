"""The region of interest: the sphere around the object, as a value, as text and as a file."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.files.json_files import read_json, to_number, to_vector
from datasets.geometry.planes import Plane
from utils.config.mask_choice import OBJECT_FILE as OBJECT_FILE  # lies beside REGION_FILE
from utils.errors import ConfigError, DataError
from utils.files import replacing

REGION_FILE = "region.json"


@dataclass(frozen=True)
class Region:
    """A sphere around the object, in the frame and units of the cameras."""

    center: np.ndarray  # (3,) float64
    radius: float
    up: np.ndarray  # (3,) float64, unit length: becomes +z in the scene
    ground: Plane | None  # what the object stands on or hangs from; its normal points to the cameras
    method: str  # how it was determined, for people to read
    metres_per_unit: float | None = None  # of the cameras; None: unknown

    def contains(self, points: np.ndarray) -> np.ndarray:
        """(...,) bool: which of the points (..., 3) are within the sphere."""
        return np.linalg.norm(points - self.center, axis=-1) <= self.radius


def write_region(region: Region, path: Path) -> None:
    """Writes a region as JSON, whole or not at all."""
    ground = region.ground and {"normal": region.ground.normal.tolist(), "offset": region.ground.offset}
    values = {
        "center": region.center.tolist(),
        "radius": region.radius,
        "up": region.up.tolist(),
        "ground": ground,
        "method": region.method,
        "metres_per_unit": region.metres_per_unit,
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read_region(path: Path) -> Region:
    """The region of a JSON file that `write_region` or a person wrote; `ground`, `method` and `metres_per_unit` may
    be missing.

    Raises DataError."""
    remedy = " Delete it and prepare the region again, or set dataset.region_file=null."
    values = read_json(path, "the JSON of a region", remedy)
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected an object with center, radius and up, got {type(values).__name__}.")
    center, up = (to_vector(values.get(key), key, str(path)) for key in ("center", "up"))
    radius = to_number(values.get("radius"), "radius", str(path))
    if radius <= 0.0:
        raise DataError(f"{path}: expected radius to be a length above 0, got {radius:g}.")
    if not np.linalg.norm(up) > 0.0:
        raise DataError(f"{path}: expected up to be a direction, got {up.tolist()}.")
    ground = values.get("ground")
    if ground is not None:
        normal = to_vector(ground.get("normal"), "normal", str(path)) if isinstance(ground, dict) else np.zeros(3)
        if not np.linalg.norm(normal) > 0.0:
            raise DataError(f"{path}: expected ground to be null or a plane with normal and offset, got {ground!r}.")
        length = float(np.linalg.norm(normal))
        ground = Plane(normal / length, to_number(ground.get("offset"), "offset", str(path)) / length)
    metres = values.get("metres_per_unit")
    if metres is not None and (metres := to_number(metres, "metres_per_unit", str(path))) <= 0.0:
        raise DataError(f"{path}: expected metres_per_unit to be null or a number above 0, got {metres:g}.")
    return Region(center, radius, up / np.linalg.norm(up), ground, str(values.get("method", "by hand")), metres)


def parse_roi(text: str) -> tuple[np.ndarray, float]:
    """Centre (3,) and radius of the sphere that the text "x,y,z,radius" gives. Raises ConfigError."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not np.isfinite(numbers).all() or numbers[3] <= 0.0:
        raise ConfigError(
            f"--roi: expected x,y,z,radius, the centre and the radius of a sphere in the coordinates of the model, "
            f"four numbers separated by commas, the last above 0, got '{text}'. Read them off region.ply or "
            f"sparse_points.ply, for example --roi 0.1,-0.4,2.5,0.8."
        )
    return np.array(numbers[:3]), numbers[3]
