"""Writes a sheet to print and lay beside the object: prepare.py finds it in the photographs and gives meshes in metres.

Example: python scripts/scale_sheet.py sheet.pdf"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
from PIL import Image

from datasets.capture.scale_sheet import DPI, PAPERS, RULER, draw_sheet
from scripts.command_line import exit_code_of, make_parser
from utils.errors import InputError
from utils.files import replacing, require_place


def sheet_parser() -> argparse.ArgumentParser:
    """The flags of the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("out", type=Path, metavar="SHEET.pdf", help="the PDF to write")
    parser.add_argument("--paper", choices=tuple(PAPERS), default="A4", help="what it is printed on (default: A4)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for bad input."""
    args = sheet_parser().parse_args(argv)
    return exit_code_of(lambda: write_sheet(args.out, args.paper))


def write_sheet(out: Path, paper: str) -> None:
    """Writes the PDF, at the size of the paper, and says what to do with it. Raises InputError."""
    if out.suffix.lower() != ".pdf":
        raise InputError(f"{out}: expected the name of a PDF, such as sheet.pdf.")
    require_place(out.parent, str(out))
    with replacing(out) as temporary:  # black and white, since Pillow makes a JPEG of grey
        Image.fromarray(draw_sheet(paper)).convert("1").save(temporary, "PDF", resolution=DPI, title="Scale sheet")
    print(f"{out}: print it on {paper} at 100 %, check that the ruler is {RULER:g} mm long, lay it beside the object")


if __name__ == "__main__":
    sys.exit(main())
