"""Tells how well the cameras of two folders agree after a similarity fit: compare_cameras.py FOLDER TRUTH

Each holds a COLMAP model or a transforms.json; images are paired by their names, without the suffix."""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.geometry.agreement import agreement
from datasets.transforms import TransformsConfig, TransformsLoader
from utils.errors import DataError, InputError


def read_cameras(folder: Path) -> dict[str, np.ndarray]:
    """(3, 4) OpenCV camera of each image, by the stem of its name. Raises DataError."""
    if (folder / "transforms.json").is_file() and not (folder / "sparse").is_dir():
        loader = TransformsLoader(TransformsConfig(str(folder), apply_mask=False))
    else:
        loader = ColmapLoader(ColmapConfig(str(folder), apply_mask=False))
    return {view.image.stem: view.c2w for view in loader.posed.views}


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the cameras to judge")
    parser.add_argument("truth", type=Path, help="the cameras to compare them with")
    args = parser.parse_args(argv)
    try:
        ours, theirs = read_cameras(args.folder), read_cameras(args.truth)
        both = sorted(ours.keys() & theirs.keys())
        if len(both) < 3:
            raise DataError(
                f"{args.folder}, {args.truth}: expected at least 3 images of the same name, got {len(both)}. Compare "
                f"folders of the same images."
            )
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    found = agreement(np.stack([ours[name] for name in both]), np.stack([theirs[name] for name in both]))
    print(f"{len(both)} images in both, of {len(ours)} and {len(theirs)}")
    for what, errors in (
        ("centre, % of the radius", 100.0 * found.centre_errors),
        ("rotation, degrees", found.rotation_errors),
    ):
        print(f"{what}: mean {errors.mean():.3f}, median {np.median(errors):.3f}, largest {errors.max():.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
