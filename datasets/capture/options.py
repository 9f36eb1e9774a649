"""The options of the capture pipeline."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datasets.capture.scale_sheet import RULER
from datasets.capture.typed_length import KnownLength
from datasets.region import parse_roi
from utils.errors import ConfigError
from utils.terminal.typed_paths import typed_path

CAMERA_MODELS = (
    *("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV"),
    *("SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "OPENCV_FISHEYE"),
)
SERIES_STAGES = ("frames", "setup", "poses", "undistort", "region", "masks")  # of each series; then comes "dataset"
JOIN = "join"  # of several series, before the stage dataset
MIN_IMAGES = 3  # with two, no third view confirms what they show


@dataclass(frozen=True)
class CaptureOptions:
    """The settings of all stages."""

    source: Path  # a video, or a folder of photos
    root: Path  # the folder that the stages fill
    frames: int = 120  # the most that a video gives; photos are all used
    max_side: int = 1600  # pixels; larger images are downscaled
    camera: Literal["shared", "per-image"] = "shared"
    camera_model: str = "SIMPLE_RADIAL"  # focal length and one coefficient: what most captures can determine
    series: str = "auto"  # "one", or what the first photos of the later series are called, see `split_at`
    photos: tuple[str, ...] | None = None  # of the folder's photos, those that are used; None: all
    setup: Literal["auto", "handheld", "turntable"] = "auto"  # auto: recognised from the frames
    scale: float | None = (
        None  # metres per unit of the cameras; None: by the scale sheet, else the units of COLMAP stay
    )
    known_length: KnownLength | None = None  # between two points of the images, which tells the scale too
    ruler: float = RULER  # millimetres that the ruler of the scale sheet measures, as printed
    masks: str = "auto"  # a folder of masks, "auto" or "rembg"
    keep_scene: bool = False  # no masks: the object is trained with all that is around it
    neus: bool = False  # writes the layout of NeuS too
    transforms: bool = False  # and a transforms.json
    roi: str | None = None  # "x,y,z,radius" of the object, in the coordinates of sparse_points.ply; None: estimated

    def __post_init__(self) -> None:
        if self.frames < MIN_IMAGES:
            raise ConfigError(f"--frames: expected at least {MIN_IMAGES}, got {self.frames}. 120 suit most objects.")
        if self.max_side < 64:
            raise ConfigError(f"--max-side: expected at least 64 pixels, got {self.max_side}. 1600 suits most cameras.")
        if self.camera_model not in CAMERA_MODELS:
            raise ConfigError(
                f"--camera-model: expected one of {', '.join(CAMERA_MODELS)}, got {self.camera_model}. "
                f"SIMPLE_RADIAL suits phones, OPENCV wide-angle lenses."
            )
        if self.scale is not None and not 0.0 < self.scale < math.inf:
            raise ConfigError(f"--scale: expected metres per unit, above 0, got {self.scale:g}.")
        if self.scale is not None and self.known_length is not None:
            raise ConfigError("--scale and --known-length: both say how large a unit is. Leave one of them out.")
        if not 0.5 * RULER < self.ruler < 2.0 * RULER:
            raise ConfigError(f"--ruler: expected millimetres, about {RULER:g}, got {self.ruler:g}. Measure it again.")
        if self.roi is not None:
            parse_roi(self.roi)
        if self.mask_folder is not None and not self.mask_folder.is_dir():
            raise ConfigError(f"--masks: expected auto, rembg or a folder of masks, got {self.masks}: no such folder.")
        if self.keep_scene and self.masks != "auto":
            raise ConfigError(f"--keep-scene: uses no masks, but --masks {self.masks} is given. Leave one of them out.")
        if self.root.resolve() == self.source.resolve():
            raise ConfigError(f"{self.root}: INPUT and OUT are the same folder. Give another OUT.")

    @property
    def is_video(self) -> bool:
        """Whether the source is a video and not a folder of photos."""
        return not self.source.is_dir()

    @property
    def mask_folder(self) -> Path | None:
        """The folder with the user's masks, if there is one."""
        return None if self.masks in ("auto", "rembg") else typed_path(self.masks)
