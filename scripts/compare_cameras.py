"""Measures how well the cameras of two folders agree, after a similarity fit.

Each folder holds a COLMAP model or a transforms.json; images are paired by name, without the suffix.
Example: python scripts/compare_cameras.py scans/cup scans/cup-truth"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
import numpy as np

from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.geometry.agreement import agreement
from datasets.transforms import TransformsConfig, TransformsLoader
from scripts.command_line import exit_code_of, make_parser
from utils.errors import DataError


def read_cameras(folder: Path) -> dict[str, np.ndarray]:
    """The camera of each image, (3, 4) OpenCV, by the stem of the image's name. Raises DataError."""
    if (folder / "transforms.json").is_file() and not (folder / "sparse").is_dir():
        loader = TransformsLoader(TransformsConfig(str(folder), apply_mask=False, masks="object"))
    else:
        loader = ColmapLoader(ColmapConfig(str(folder), apply_mask=False))
    return {view.image.stem: view.c2w for view in loader.posed.views}


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for bad input."""
    parser = make_parser(__doc__)
    parser.add_argument("folder", type=Path, help="folder with the cameras to measure")
    parser.add_argument("truth", type=Path, help="folder with the true cameras")
    args = parser.parse_args(argv)
    return exit_code_of(lambda: compare_cameras(args.folder, args.truth))


def compare_cameras(folder: Path, truth: Path) -> None:
    """Prints the errors of the cameras. Raises DataError."""
    ours, theirs = read_cameras(folder), read_cameras(truth)
    both = sorted(ours.keys() & theirs.keys())
    if len(both) < 3:
        raise DataError(
            f"{folder}, {truth}: expected at least 3 images of the same name, got {len(both)}. Give two folders of the "
            f"same images."
        )
    errors = agreement(np.stack([ours[name] for name in both]), np.stack([theirs[name] for name in both]))
    print(f"{len(both)} images in both, of {len(ours)} and {len(theirs)}")
    for what, values in (
        ("centre, % of the radius", 100.0 * errors.centre_errors),
        ("rotation, degrees", errors.rotation_errors),
    ):
        print(f"{what}: mean {values.mean():.3f}, median {np.median(values):.3f}, largest {values.max():.3f}")


if __name__ == "__main__":
    sys.exit(main())
