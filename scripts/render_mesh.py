"""Renders a mesh into one picture, without a GPU or a display: from several sides, or beside a photograph.

Example: python scripts/render_mesh.py cow.ply cow.png
Example: python scripts/render_mesh.py exp/neus-demo/first@DATE cow.jpg --photo 3 --color shaded vertex"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
import numpy as np
from PIL import Image

from scripts.command_line import exit_code_of, make_parser
from systems.configs import read_experiment
from systems.runs import find_mesh, run_of
from systems.runs.moved_data import with_moved_paths
from systems.runs.recorded_config import config_files
from utils.errors import InputError
from utils.files import replacing, require_place
from utils.images import resize_area
from utils.mesh import Mesh, transform
from utils.mesh.files import read_mesh
from utils.mesh.opening import require_mesh_files
from utils.registry import build
from utils.terminal.numbers import counted

if TYPE_CHECKING:
    from utils.mesh.rasterise import Coloring

log = logging.getLogger("photosurf")
FORMATS = {".png": "PNG", ".jpg": "JPEG"}


def beside_photograph(
    path: Path, mesh: Mesh, view: int, coloring: Sequence["Coloring"], smooth: bool, overrides: Sequence[str]
) -> list[np.ndarray]:
    """A held-out photograph of the run that the mesh belongs to, then the mesh from the same camera in each colouring.

    path: of the mesh, in the run's folder; view: counted from 0. Raises InputError if there is no such run or
    photograph."""
    from utils.cameras import Camera  # only now: it imports torch
    from utils.mesh.rasterise import camera_views

    run = run_of(path)  # save/ and ckpt/ lie side by side
    if run is None:
        raise InputError(f"--photo {view}: {path} is not in a run's folder. Give a mesh in exp/NAME/TRIAL/save.")
    files = config_files(run)
    scene = build(read_experiment(files, with_moved_paths(files, overrides)).dataset).load("test")
    if view >= len(scene):
        raise InputError(f"--photo {view}: the run has {len(scene)} held-out views, numbered from 0. Give one.")
    camera = Camera(scene.c2w[view], scene.intrinsics[view], tuple(int(side) for side in scene.sizes[view]))
    photo = scene.image(view)
    alpha = photo[..., 3:] / 255.0 if scene.has_alpha else 1.0
    over_white = photo[..., :3] * alpha + 255.0 * (1.0 - alpha)
    mesh = transform(mesh, np.linalg.inv(scene.world_from_scene))
    return [over_white.round().astype(np.uint8), *camera_views(mesh, camera, coloring, smooth)]


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for bad input."""
    parser = make_parser(__doc__)
    parser.add_argument("mesh", type=Path, help="ply, obj, glb, stl or off; or the folder of a run")
    parser.add_argument("out", type=Path, help="PNG or JPEG to write")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="for --photo: changes, such as dataset.root_dir=FOLDER",
    )
    parser.add_argument("--views", type=int, default=4, help="pictures, evenly around the mesh (default: 4)")
    parser.add_argument("--photo", type=int, metavar="N", help="show held-out photograph N of the run, and its view")
    parser.add_argument("--size", type=int, default=512, help="width of each picture, in pixels (default: 512)")
    parser.add_argument(
        "--color",
        nargs="+",
        choices=("normal", "shaded", "vertex", "texture"),
        default=["shaded"],
        help="one or more colourings (default: shaded)",
    )
    parser.add_argument("--up", choices=("z", "y"), help="axis that points up (default: y for glb, else z)")
    parser.add_argument("--flat", action="store_true", help="use one normal per face, which shows the triangles")
    args = parser.parse_intermixed_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    log.setLevel(logging.INFO)
    return exit_code_of(lambda: render(args))


def render(args: argparse.Namespace) -> None:
    """Writes the picture. Raises InputError."""
    if min(args.views, args.size) < 1 or (args.photo or 0) < 0:
        raise InputError(
            f"--views and --size: expected at least 1, got {args.views} and {args.size}; --photo counts from 0."
        )
    if args.overrides and args.photo is None:
        raise InputError(f"{args.overrides[0]}: changes the dataset of a run, which only --photo N shows.")
    if args.out.suffix not in FORMATS:
        raise InputError(f"{args.out}: expected the name of a picture, such as mesh.png or mesh.jpg.")
    require_place(args.out.parent, str(args.out))
    path = find_mesh(args.mesh)
    require_mesh_files(path)
    log.info("%s: rendered into %s", path, args.out)
    mesh = read_mesh(path, upright=args.photo is None)
    from utils.mesh.rasterise import orbit_views  # only now: what it imports takes seconds
    from utils.visualise import side_by_side

    if "vertex" in args.color and mesh.colors is None:
        raise InputError(f"{path}: has no vertex colours to show. Use --color shaded or --color normal.")
    if "texture" in args.color and mesh.texture is None:
        raise InputError(f"{path}: has no texture to show. Use --color shaded, or vertex if it has colours.")
    if args.photo is not None:
        pictures = beside_photograph(path, mesh, args.photo, args.color, not args.flat, args.overrides)
        size = args.size, max(1, round(args.size * pictures[0].shape[0] / pictures[0].shape[1]))
        pictures = [resize_area(picture, size) for picture in pictures]
    else:
        options = args.up or ("y" if path.suffix == ".glb" else "z"), not args.flat
        pictures = [view for color in args.color for view in orbit_views(mesh, args.views, args.size, color, *options)]
    with replacing(args.out) as temporary:
        Image.fromarray(side_by_side(pictures)).save(temporary, FORMATS[args.out.suffix], quality=88)
    print(f"{args.out}: {counted(len(pictures), 'picture')} of {counted(len(mesh.faces), 'face')}")


if __name__ == "__main__":
    sys.exit(main())
