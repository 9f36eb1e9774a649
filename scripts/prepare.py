"""Makes a dataset from a video or a folder of photos, ready for launch.py.

Stages: frames, setup, poses, undistort, region, masks, dataset; each is skipped while its settings and inputs are
unchanged. Give several inputs where the object was moved in between, say from its foot to its side: each goes through
the stages by itself, then the stage join makes one dataset of all.
Example: python scripts/prepare.py cup.mp4 scans/cup
Example: python scripts/prepare.py standing/ lying/ scans/cup"""

import argparse
import logging
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
from scripts.command_line import exit_code_of, imports_told, make_parser
from utils.interrupts import Stopped
from utils.prompt_end import PromptEnd

with imports_told():
    from datasets.capture.frames.video import require_frame
    from datasets.capture.given import (
        check_options,
        check_out,
        check_stage,
        frames_of_videos,
        require_photos,
        require_source,
    )
    from datasets.capture.options import CAMERA_MODELS, JOIN, SERIES_STAGES, CaptureOptions
    from datasets.capture.scale_sheet import RULER
    from datasets.capture.stage_runner import remove_unfinished
    from datasets.capture.typed_length import parse_known_length

log = logging.getLogger("photosurf")
_LOOK_AT = {"region.png": "the region that is reconstructed", "masks.png": "the masks"}  # of OUT
_ENDED = "interrupted: finished stages are kept; run the same command again to continue"


def prepare_parser() -> argparse.ArgumentParser:
    """The flags of the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "inputs", type=Path, nargs="+", metavar="INPUT",
        help="a video, or a folder of photos; several are series of one object that was moved in between",
    )  # fmt: skip
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the dataset; it may exist already")
    parser.add_argument(
        "--frames", type=int, help="the most frames to take from a video (default: 120); photos are all used"
    )
    parser.add_argument(
        "--max-side",
        type=int,
        default=1600,
        help="longest side in pixels; larger images are made smaller (default: 1600)",
    )
    parser.add_argument(
        "--camera",
        choices=("shared", "per-image"),
        default="shared",
        help="whether images of one size and, by EXIF data, of one lens and zoom share a camera (default: shared)",
    )
    told = f"camera model of COLMAP, one of {', '.join(CAMERA_MODELS)} (default: SIMPLE_RADIAL)"
    parser.add_argument("--camera-model", default="SIMPLE_RADIAL", metavar="MODEL", help=told)
    parser.add_argument(
        "--setup",
        choices=("auto", "handheld", "turntable"),
        default="auto",
        help="whether the camera moved, or the object before a still camera (default: recognised from the images)",
    )
    parser.add_argument(
        "--series",
        default="auto",
        metavar="auto|one|NAME,...",
        help="where in one folder of photos the object was moved: what the names of the first photos of later series "
        "begin with; one: nowhere (default: recognised)",
    )
    _add_scale(parser)
    parser.add_argument(
        "--roi",
        metavar="X,Y,Z,RADIUS",
        help="the sphere around the object, in the coordinates of sparse_points.ply (default: estimated)",
    )
    parser.add_argument(
        "--masks",
        default="auto",
        metavar="FOLDER|auto|rembg",
        help="folder with masks of the images, rembg to make them with its networks, or auto (default): the object is "
        "told from what it stands on",
    )
    parser.add_argument("--keep-scene", action="store_true", help="no masks: train the object with all around it")
    parser.add_argument("--neus", action="store_true", help="also write OUT/neus: image/, mask/, cameras_sphere.npz")
    parser.add_argument("--transforms", action="store_true", help="also write OUT/transforms.json")
    _add_stages(parser)
    parser.add_argument("--verbose", action="store_true", help="more log lines, and tracebacks with errors")
    return parser


def _add_scale(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scale",
        type=float,
        help="metres per unit of the cameras, to get meshes in metres (default: by a scale sheet)",
    )
    parser.add_argument(
        "--known-length", type=float, metavar="METRES", help="the same by a length, from --between to --and"
    )
    for flag, end in (("--between", "one end"), ("--and", "the other end")):
        told = f"{end} of the known length, in two or more photographs of OUT/images, 0,0 the top left pixel"
        parser.add_argument(flag, dest=flag[2:] + "_", nargs="+", metavar="PHOTO:X,Y", help=told)
    parser.add_argument(
        "--ruler",
        type=float,
        default=RULER,
        metavar="MM",
        help="what the ruler of the scale sheet measures (default: 160)",
    )


def _add_stages(parser: argparse.ArgumentParser) -> None:
    stages = (*SERIES_STAGES, JOIN, "dataset")
    selection = parser.add_mutually_exclusive_group()
    selection.add_argument("--only", choices=stages, help="run only this stage, even if nothing changed")
    selection.add_argument("--from", dest="start", choices=stages, help="run this stage and the stages after it")


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 after Ctrl-C, 143 after SIGTERM."""
    args = prepare_parser().parse_intermixed_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    for name in ("photosurf", "datasets", "utils"):
        logging.getLogger(name).setLevel(logging.DEBUG if args.verbose else logging.INFO)
    try:
        with PromptEnd(_ENDED, remove_unfinished):
            return exit_code_of(lambda: make_dataset(args), args.verbose)
    except Stopped as stopped:
        remove_unfinished()
        return stopped.exit_code


def make_dataset(args: argparse.Namespace) -> None:
    """Runs the stages, and prints what to look at and the command that trains on the dataset. Raises InputError."""
    check_out(args.out)
    for source in args.inputs:
        require_source(source)
    frames = frames_of_videos(args.frames, args.inputs)
    options = CaptureOptions(
        source=args.inputs[0], root=args.out, frames=frames, max_side=args.max_side, camera=args.camera,
        camera_model=args.camera_model, series=args.series, setup=args.setup, scale=args.scale,
        known_length=parse_known_length(args.known_length, args.between_, args.and_),
        ruler=args.ruler, roi=args.roi, masks=args.masks, keep_scene=args.keep_scene,
        neus=args.neus, transforms=args.transforms,
    )  # fmt: skip
    check_options(options, args.inputs)
    check_stage(args.only, [flag for flag in ("--neus", "--transforms") if getattr(args, flag[2:])])
    require_photos(args.inputs, args.out)
    for video in filter(Path.is_file, args.inputs):
        require_frame(video)
    verb = "becomes" if len(args.inputs) == 1 else "become"
    log.info("%s: %s a dataset in %s", ", ".join(map(str, args.inputs)), verb, args.out)
    from datasets.capture.series_pipeline import prepare_capture  # only now: what it imports takes seconds

    prepare_capture(options, args.inputs, args.only, args.start)
    if args.only is None:
        print(closing_lines(args.out))


def closing_lines(out: Path) -> str:
    """What to look at in a prepared folder, and the command that trains on it on this machine."""
    import torch  # the stages have imported it

    found = [f"{out / name} ({what})" for name, what in _LOOK_AT.items() if (out / name).is_file()]
    config = "neus-capture" if torch.cuda.is_available() else "neus-capture-cpu"
    command = f"python launch.py --config configs/{config}.yaml --train {shlex.quote(f'dataset.root_dir={out}')}"
    return "\n".join([*([f"look at: {', '.join(found)}"] if found else []), f"train with: {command}"])


if __name__ == "__main__":
    sys.exit(main())
