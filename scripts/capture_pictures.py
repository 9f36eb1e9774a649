"""Makes the pictures of docs/capture.md from rendered videos of a scene, filmed well and in three wrong ways.

Each video goes through scripts/prepare.py's pipeline; prints its report and how many of its points are right.
Example: python scripts/capture_pictures.py --only good"""

import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
import cv2
import numpy as np
from PIL import Image

from datasets.capture.drawing import draw_line
from datasets.capture.options import CaptureOptions
from datasets.capture.pipeline import prepare
from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.geometry.agreement import fit_similarity
from datasets.poses import look_at
from scripts.capture_scene import make_scene, render
from scripts.command_line import exit_code_of, make_parser
from utils.errors import InputError
from utils.files import replacing
from utils.images import read_image, resize_area
from utils.mesh.ply import read_vertices
from utils.video import write_video

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
SIZE = (480, 360)  # pixels of a frame
RINGS = np.radians([16.0, 45.0])  # elevations of the cameras
DISTANCE, TARGET = 2.7, np.array([0.0, 0.0, 0.42])  # of the cameras; in heights of the cow, which stands on z = 0
WIDTH, COLORS = 1000, 200  # of the pictures for the page
SHEETS, SHEET_HEIGHT = ("glossy",), 410  # sets whose masks are shown, pixels of the sheet from above: two rows
MIN_HEIGHT = 0.03  # heights of the cow: points this high above the table belong to the cow
MAX_ERROR = 0.02  # heights of the cow: points this close to its surface are true


@dataclass(frozen=True)
class Variant:
    """How a video is filmed."""

    num_views: int = 40
    shake: float = 0.0  # how far the image moves during the exposure, in its widths
    glossy: bool = False


VARIANTS = {
    "good": Variant(),
    "few-views": Variant(num_views=14),
    "blurred": Variant(shake=0.024),
    "glossy": Variant(glossy=True),
}


def cameras(num: int) -> np.ndarray:
    """(num, 3, 4) OpenCV cameras on two rings around the cow, half of them on each; all look at it."""
    poses = []
    for ring, elevation in enumerate(RINGS):
        for azimuth in 2.0 * np.pi * np.arange(ring, num, len(RINGS)) / num:
            flat = np.cos(elevation) * np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
            offset = flat + np.array([0.0, 0.0, np.sin(elevation)])
            poses.append(look_at(TARGET + DISTANCE * offset, TARGET, np.array([0.0, 0.0, 1.0])))
    return np.stack(poses)


def photograph(variant: Variant, c2w: np.ndarray, seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W, 3) uint8 image of the scene from a camera (3, 4), blurred by motion in a random direction and by defocus.

    A shaking hand turns the camera more than it moves it, so the whole image is blurred alike."""
    picture = render(c2w, size, variant.glossy)
    reach = variant.shake * size[0] / 2.0
    if not reach:
        return picture
    angle = np.random.default_rng(seed).uniform(0.0, np.pi)
    middle, step = int(reach) + 1, reach * np.array([np.cos(angle), np.sin(angle)])
    path = np.zeros((2 * middle + 1, 2 * middle + 1, 3), np.uint8)
    draw_line(path, np.stack([middle + 0.5 - step, middle + 0.5 + step]), (255, 255, 255), 1)
    blurred = cv2.filter2D(picture, -1, path[..., 0] / path[..., 0].sum(dtype=float), borderType=cv2.BORDER_REPLICATE)
    return cv2.GaussianBlur(blurred, None, 0.4 * reach)


def true_points(out: Path, c2w: np.ndarray) -> tuple[int, float]:
    """The number of points of a prepared folder that belong to the cow, and the share of them on its surface.

    c2w: the true cameras (N, 3, 4); the estimated ones are aligned with them. The points in the cow's bounding box and
    above the table belong to the cow, also those that gloss puts inside or in front of it."""
    views = {int(view.image.stem): view.c2w for view in ColmapLoader(ColmapConfig(str(out))).posed.views}
    similarity = fit_similarity(np.stack([x[:, 3] for x in views.values()]), c2w[list(views), :, 3])
    points = read_vertices(out / "sparse_points.ply") @ similarity[:3, :3].T + similarity[:3, 3]
    surface = make_scene().cow.vertices
    low, high = surface.min(axis=0) - 0.1, surface.max(axis=0) + 0.1
    points = points[((points > low) & (points < high)).all(axis=1) & (points[:, 2] > MIN_HEIGHT)]
    near = [np.linalg.norm(surface - point, axis=1).min() < MAX_ERROR for point in points]
    return len(points), float(np.mean(near)) if near else 0.0


def make_picture(name: str, target: Path) -> str:
    """Renders and prepares a variant, writes its picture to `target`; returns the figures as one line."""
    variant = VARIANTS[name]
    with TemporaryDirectory() as temporary:
        video, out = Path(temporary) / f"{name}.mp4", Path(temporary) / "out"
        c2w = cameras(variant.num_views)
        write_video(video, (photograph(variant, camera, number) for number, camera in enumerate(c2w)), fps=4.0)
        prepare(CaptureOptions(source=video, root=out))
        picture, sheet = read_image(out / "region.png"), read_image(out / "masks.png")[:SHEET_HEIGHT]
        report = json.loads((out / "prepare" / "report.json").read_text(encoding="utf-8"))
        num_points, share = true_points(out, c2w)
    _write_small(picture, target)
    if name in SHEETS:
        _write_small(sheet, target.with_name(f"capture-masks-{name}.png"))
    poses = report["poses"]
    return (
        f"{name}: registered {poses['registered']} of {poses['frames']} frames, {poses['points']} points seen by "
        f"{poses['track_length']:.1f} frames on average, reprojection error {poses['reprojection_error']:.2f} pixels; "
        f"{report['region']['points_inside']} points in the sphere, {num_points} points of the cow, "
        f"{100.0 * share:.0f} % of these on its surface"
    )


def _write_small(picture: np.ndarray, target: Path) -> None:
    """Writes a picture (H, W, 3) as wide as the page, in few colours."""
    picture = resize_area(np.ascontiguousarray(picture), (WIDTH, round(picture.shape[0] * WIDTH / picture.shape[1])))
    small = Image.fromarray(picture).quantize(COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    with replacing(target) as file:
        small.save(file, optimize=True)


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for bad input."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="?", default=FOLDER, help="folder for the pictures (default: docs/images)"
    )
    parser.add_argument("--only", choices=VARIANTS, help="make only this picture")
    args = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.INFO, force=True)
    return exit_code_of(lambda: make_pictures(args.folder, [args.only] if args.only else list(VARIANTS)))


def make_pictures(folder: Path, names: list[str]) -> None:
    """Makes the pictures of some variants. Raises InputError."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Make it, or leave it out to write to docs/images.")
    for name in names:
        print(make_picture(name, folder / f"capture-{name}.png"), flush=True)


if __name__ == "__main__":
    sys.exit(main())
