"""Puts a held-out view of several runs into one picture, for a page or a paper.

Example: python scripts/contact_sheet.py exp/neus-demo/first@DATE exp/neus-demo/second@DATE --out sheet.png"""

import argparse
import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
import numpy as np
from PIL import Image, ImageDraw

from scripts.command_line import exit_code_of, make_parser
from systems.report.pictures import read_held_out
from systems.report.results import RunResults, read_results
from utils.errors import DataError, InputError
from utils.files import replacing
from utils.images import resize_area
from utils.terminal.numbers import counted

MARGIN, LINE = 6, 14  # pixels: around each cell, and of its title
SUFFIXES = (".png", ".jpg")


def make_cell(results: RunResults, view: int, shown: Sequence[str], width: int) -> Image.Image:
    """The pictures of a view side by side, each `width` pixels wide, under the name of the run and its PSNR.

    Raises DataError if the run lacks the view or one of the pictures."""
    held_out = read_held_out(results, view)
    if held_out is None:
        raise DataError(f"{results.folder.path}: no held-out view {view}. Test the run, or give another --view.")
    missing = [name for name in shown if name not in held_out.pictures]
    if missing:
        kinds = ", ".join(held_out.pictures)
        raise DataError(f"{results.folder.path}: view {view} does not show {missing[0]}. --show takes {kinds}.")
    pictures = [held_out.pictures[name] for name in shown]
    height = max(1, round(width * pictures[0].shape[0] / pictures[0].shape[1]))
    row = np.concatenate([resize_area(picture, (width, height)) for picture in pictures], axis=1)
    cell = Image.new("RGB", (row.shape[1] + 2 * MARGIN, height + LINE + 2 * MARGIN), "white")
    cell.paste(Image.fromarray(row), (MARGIN, MARGIN + LINE))
    psnr = held_out.figures.get("psnr")
    title = results.folder.path.name + ("" if psnr is None else f"  {psnr:.1f} dB")
    ImageDraw.Draw(cell).text((MARGIN, MARGIN), title, fill="black")
    return cell


def make_sheet(cells: Sequence[Image.Image], columns: int) -> Image.Image:
    """The cells in rows of `columns`, from left to right."""
    width, height = (max(getattr(cell, side) for cell in cells) for side in ("width", "height"))
    columns = min(columns, len(cells))
    sheet = Image.new("RGB", (columns * width, math.ceil(len(cells) / columns) * height), "white")
    for index, cell in enumerate(cells):
        sheet.paste(cell, (index % columns * width, index // columns * height))
    return sheet


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for bad input."""
    parser = make_parser(__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of runs, exp/[name]/[tag]@[time]")
    parser.add_argument("--out", type=Path, required=True, help="picture to write, .png or .jpg")
    parser.add_argument("--view", type=int, default=0, help="index of the held-out view (default: 0)")
    parser.add_argument(
        "--show", nargs="+", default=["normal", "error"], help="pictures of the view (default: normal error)"
    )
    parser.add_argument("--width", type=int, default=160, help="width of each picture in pixels (default: 160)")
    parser.add_argument("--columns", type=int, default=3, help="runs in a row (default: 3)")
    args = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    return exit_code_of(lambda: write_sheet(args))


def write_sheet(args: argparse.Namespace) -> None:
    """Writes the picture. Raises InputError."""
    if args.out.suffix not in SUFFIXES:
        raise InputError(f"--out {args.out}: expected the name of a picture, such as sheet.png.")
    for name, low in (("width", 1), ("columns", 1), ("view", 0)):
        if getattr(args, name) < low:
            raise InputError(f"--{name}: expected {low} or more, got {getattr(args, name)}.")
    cells = [make_cell(read_results(run), args.view, args.show, args.width) for run in args.runs]
    with replacing(args.out) as temporary:
        make_sheet(cells, args.columns).save(temporary, "PNG" if args.out.suffix == ".png" else "JPEG", quality=88)
    print(f"{args.out}: {counted(len(cells), 'run')}")


if __name__ == "__main__":
    sys.exit(main())
