"""Shows several runs side by side in one HTML file: metrics, curves, meshes, held-out views, differing settings.

Example: python scripts/compare.py exp/neus-demo/first@DATE exp/neus-demo/second@DATE --out compare.html"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
from scripts.command_line import exit_code_of, make_parser
from systems.report.results import read_results
from utils.errors import InputError
from utils.files import require_place

log = logging.getLogger("photosurf")


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for bad input."""
    args = compare_parser().parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    log.setLevel(logging.INFO)
    return exit_code_of(lambda: compare(args.runs, args.out))


def compare_parser() -> argparse.ArgumentParser:
    """The flags of the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of runs, exp/[name]/[tag]@[time]")
    parser.add_argument("--out", type=Path, default=Path("compare.html"), help="HTML to write (default: compare.html)")
    return parser


def compare(runs: list[Path], out: Path) -> None:
    """Writes the page. Raises InputError."""
    if len(runs) < 2:
        raise InputError(f"{runs[0]}: expected at least two runs to compare, got one. Give two or more folders.")
    if out.is_dir() or out.suffix not in (".html", ".htm"):
        raise InputError(f"--out {out}: expected the name of an HTML file, such as compare.html.")
    require_place(out.parent, f"--out {out}")
    results = [read_results(run) for run in runs]
    log.info("%d runs: written to %s", len(runs), out)
    from systems.report.comparison import write_comparison  # only now: it imports for longer than a wrong path may

    path = write_comparison(results, out)
    print(f"{path}: {len(runs)} runs, {path.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    sys.exit(main())
