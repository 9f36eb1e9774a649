"""The stages of a capture, in their order: what each owns, and what its result depends on."""

from functools import partial

from datasets.capture import undistort
from datasets.capture.dataset import stage as deliver
from datasets.capture.frames import stage as frames
from datasets.capture.masks import stage as silhouettes
from datasets.capture.masks.sources import FOLDER as MASKS
from datasets.capture.masks.sources import LOOSE_FOLDER as LOOSE_MASKS
from datasets.capture.options import CaptureOptions
from datasets.capture.poses import stage as poses
from datasets.capture.region import stage as locate
from datasets.capture.region.choose import INTEREST_FILE, POINTS_FILE
from datasets.capture.stages import Stage, run_stages
from datasets.region import FILE as REGION_FILE
from utils.errors import CaptureError

STAGES = ("frames", "poses", "undistort", "region", "masks", "dataset")


def make_stages(options: CaptureOptions) -> tuple[Stage, ...]:
    """The stages as `options` want them, in the order of STAGES."""
    root = options.root
    return (
        Stage(
            "frames",
            ("frames", "frames.json"),
            partial(frames.run, options),
            {"max_side": options.max_side} | ({"frames": options.frames} if options.is_video else {}),
            (options.source,),
        ),
        Stage(
            "poses",
            ("poses", "poses.json"),
            partial(poses.run, options),
            {"camera": options.camera, "camera_model": options.camera_model},
            (root / "frames",),
        ),
        Stage(
            "undistort",
            ("images", "sparse"),
            partial(undistort.run, options),
            {"scale": options.scale},
        ),
        Stage(
            "region",
            (REGION_FILE, "region.ply", "region.png", POINTS_FILE),
            partial(locate.run, options),
            {"roi": options.roi},
            (root / INTEREST_FILE,),
        ),
        Stage(
            "masks",
            (MASKS, LOOSE_MASKS) if options.masks else (),
            partial(silhouettes.run, options),
            {"masks": options.masks},
            (options.mask_folder,) if options.mask_folder else (),
        ),
        Stage(
            "dataset",
            (*(["neus"] if options.neus else []), *(["transforms.json"] if options.transforms else [])),
            partial(deliver.run, options),
            {"neus": options.neus, "transforms": options.transforms},
            (root / MASKS,),
        ),
    )


def prepare(options: CaptureOptions, only: str | None = None, start: str | None = None) -> None:
    """Brings `options.root` up to date; `only` and `start` name a stage, see `run_stages`. Raises InputError."""
    if not options.source.exists():
        raise CaptureError(f"{options.source}: no such file or folder. Give a video, or a folder of photos.")
    run_stages(options.root, make_stages(options), only, start)
