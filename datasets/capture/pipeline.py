"""The stages of the capture pipeline in their order: what each writes, and what its result depends on."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial

from datasets.capture.dataset.stage import write_layouts
from datasets.capture.frames.stage import extract_frames
from datasets.capture.given import require_source
from datasets.capture.masks.mask_files import CONTACT_SHEET, LOOSE_MASK_FOLDER, MASK_FOLDER
from datasets.capture.masks.stage import has_own_masks, write_masks
from datasets.capture.options import CaptureOptions
from datasets.capture.poses.stage import estimate_poses
from datasets.capture.region.choose_region import INTEREST_FILE, POINTS_FILE
from datasets.capture.region.stage import locate_object
from datasets.capture.scale_sheet import RULER
from datasets.capture.setup.record import SETUP_FILE, SETUP_MASK_FOLDER
from datasets.capture.setup.stage import recognise_setup
from datasets.capture.stage_runner import Stage, run_stages
from datasets.capture.true_size import SCALE_FILE
from datasets.capture.undistort import undistort_images
from datasets.lighting import LIGHTING_FILE
from datasets.region import OBJECT_FILE, REGION_FILE


def make_stages(options: CaptureOptions) -> tuple[Stage, ...]:
    """The stages that `options` ask for, in the order of SERIES_STAGES, then "dataset"."""
    root = options.root
    no_masks = options.keep_scene or has_own_masks(root)
    return (
        Stage(
            "frames",
            ("frames", "frames.json"),
            partial(extract_frames, options),
            {"max_side": options.max_side}
            | ({"frames": options.frames} if options.is_video else {})
            | ({} if options.photos is None else {"photos": options.photos}),
            (options.source,),
            version=2,  # colours and pixels of videos, colours and lenses of photos
        ),
        Stage(
            "setup",
            (SETUP_FILE, SETUP_MASK_FOLDER),
            partial(recognise_setup, options),
            {"setup": options.setup},
            (root / "frames",),
        ),
        Stage(
            "poses",
            ("poses", "poses.json"),
            partial(estimate_poses, options),
            {"camera": options.camera, "camera_model": options.camera_model},
            (root / "frames",),
            version=2,  # principal points
        ),
        Stage(
            "undistort",
            ("images", "sparse", SCALE_FILE),
            partial(undistort_images, options),
            {"scale": options.scale}
            | ({} if options.ruler == RULER else {"ruler": options.ruler})
            | ({} if options.known_length is None else {"known_length": asdict(options.known_length)}),
            version=2,  # upright
        ),
        Stage(
            "region",
            (REGION_FILE, "region.ply", "region.png", POINTS_FILE, LIGHTING_FILE),
            partial(locate_object, options),
            {"roi": options.roi},
            (root / INTEREST_FILE,),
            version=2,  # lighting.json
        ),
        Stage(
            "masks",
            () if no_masks else (MASK_FOLDER, LOOSE_MASK_FOLDER, CONTACT_SHEET, OBJECT_FILE),
            partial(write_masks, options),
            {"masks": options.masks, "none": no_masks},
            (options.mask_folder,) if options.mask_folder else (),
        ),
        layout_stage(options),
    )


def layout_stage(options: CaptureOptions) -> Stage:
    """The last stage: the further layouts that `options` ask for."""
    return Stage(
        "dataset",
        (*(["neus"] if options.neus else []), *(["transforms.json"] if options.transforms else [])),
        partial(write_layouts, options),
        {"neus": options.neus, "transforms": options.transforms},
        (options.root / MASK_FOLDER,),
    )


def prepare(
    options: CaptureOptions,
    only: str | None = None,
    start: str | None = None,
    after: Callable[[str], None] | None = None,
) -> None:
    """Brings `options.root` up to date; `only` and `start` name a stage, see `run_stages`. Raises InputError."""
    require_source(options.source)
    run_stages(options.root, make_stages(options), only, start, after)
