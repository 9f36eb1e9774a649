"""Puts runs below each other in one picture: a photograph, and the mesh in colours, in grey and by its normals.

What is known of photographs, seconds and PSNR stands above each.

Example: python scripts/gallery.py exp/neus-demo/first@DATE=cow --out gallery.jpg"""

import argparse
import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scripts.command_line import exit_code_of, make_parser
from scripts.render_mesh import beside_photograph
from systems.configs import read_experiment
from systems.report.results import read_results
from systems.runs import find_mesh
from systems.runs.recorded_config import config_files
from utils.errors import InputError
from utils.files import replacing, require_place
from utils.images import resize_area
from utils.mesh.files import read_mesh
from utils.terminal.numbers import counted

log = logging.getLogger("photosurf")
SIDE, LINE, GAP = 232, 22, 4  # pixels: of a picture, of the text above a row, between pictures
MARGIN = 0.06  # around the object, as a share of its larger side
MAX_BYTES = 250_000
QUALITIES = range(90, 50, -5)  # of JPEG, until the file is small enough


def gallery_parser() -> argparse.ArgumentParser:
    """The flags of the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN[=NAME]", help="folders of tested runs, and how to call them")
    parser.add_argument("--out", type=Path, required=True, help="JPEG to write, at most 250 kB")
    parser.add_argument(
        "--photo", type=int, nargs="+", default=[0], help="held-out view, one for all runs or one for each (default: 0)"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for bad input."""
    args = gallery_parser().parse_intermixed_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    log.setLevel(logging.INFO)
    return exit_code_of(lambda: write_gallery(args.runs, args.photo, args.out))


def write_gallery(runs: Sequence[str], photos: Sequence[int], out: Path) -> None:
    """Writes the picture, as well as it fits into MAX_BYTES. runs: RUN or RUN=NAME. Raises InputError."""
    if out.suffix != ".jpg":
        raise InputError(f"--out {out}: expected the name of a JPEG, such as gallery.jpg.")
    require_place(out.parent, f"--out {out}")
    if len(photos) not in (1, len(runs)) or min(photos) < 0:
        each = "" if len(runs) == 1 else f", or {len(runs)} of them for {len(runs)} runs"
        raise InputError(f"--photo: expected a number from 0 on{each}, got {' '.join(map(str, photos))}.")
    photos = list(photos) * (len(runs) if len(photos) == 1 else 1)
    for run in runs:
        read_results(Path(run.partition("=")[0]))  # refused before the first is rendered
    log.info("%s: rendered into %s", counted(len(runs), "run"), out)
    rows = [_row(run, view) for run, view in zip(runs, photos, strict=True)]
    sheet = Image.fromarray(np.concatenate(rows))
    for quality in QUALITIES:
        sheet.save(content := io.BytesIO(), "JPEG", quality=quality, optimize=True)
        if content.tell() <= MAX_BYTES:
            break
    with replacing(out) as temporary:
        temporary.write_bytes(content.getvalue())
    print(f"{out}: {counted(len(rows), 'run')}, {content.tell() / 1e3:.0f} kB")


def _row(run: str, view: int) -> np.ndarray:
    """(LINE + SIDE + GAP, W, 3) uint8: the pictures of a run under their caption."""
    folder, _, name = run.partition("=")
    path = find_mesh(Path(folder))
    results, mesh = read_results(Path(folder)), read_mesh(path)
    experiment = read_experiment(config_files(results.folder), [])
    # The photograph as it was taken: masks would leave white around the object.
    overrides = ["dataset.apply_mask=false"] if hasattr(experiment.dataset, "apply_mask") else []
    coloring = [*(["vertex"] if mesh.colors is not None else []), "shaded", "normal"]
    pictures = beside_photograph(path, mesh, view, coloring, True, overrides)
    drawn = pictures[-1].min(axis=2) < 255
    if not drawn.any():
        raise InputError(f"{path}: held-out view {view} does not show the mesh. Give another --photo.")
    cells = [_object_of(picture, drawn) for picture in pictures]
    cells += [np.full_like(cells[0], 255)] * (4 - len(cells))  # of a mesh without colours
    row = Image.new("RGB", (4 * (SIDE + GAP), LINE + SIDE + GAP), "white")
    for index, cell in enumerate(cells):
        row.paste(Image.fromarray(cell), (index * (SIDE + GAP), LINE))
    text = ", ".join([name or results.name, *_figures(results.metrics)])
    ImageDraw.Draw(row).text((2, 3), text, fill="black", font=ImageFont.load_default(14))
    return np.asarray(row)


def _figures(metrics: dict[str, Any]) -> list[str]:
    """What a caption says of a run, as far as it is known."""
    device = metrics.get("environment", {}).get("device")
    told = [
        ("train_views", "{0}"),
        ("train_seconds", "{0:.0f} s of training" + (f" on {device}" if device else "")),
        ("psnr", "PSNR {0:.1f} dB"),
    ]
    known = {**metrics, "train_views": counted(metrics.get("train_views", 0), "photograph")}
    return [text.format(known[key]) for key, text in told if key in metrics]


def _object_of(picture: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8: the square around what is drawn, white beyond the picture; drawn: (H, W) bool."""
    rows, columns = (np.flatnonzero(drawn.any(axis=axis)) for axis in (1, 0))
    side = round((1.0 + 2.0 * MARGIN) * (max(np.ptp(rows), np.ptp(columns)) + 1))
    top, left = ((found[0] + found[-1] + 1 - side) // 2 for found in (rows, columns))
    padded = np.pad(picture, ((side, side), (side, side), (0, 0)), constant_values=255)
    return resize_area(np.ascontiguousarray(padded[top + side :, left + side :][:side, :side]), (SIDE, SIDE))


if __name__ == "__main__":
    sys.exit(main())
