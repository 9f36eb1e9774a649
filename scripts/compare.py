"""Shows several runs side by side in one HTML file: compare.py RUN RUN ... [--out FILE.html]"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

from systems.report.comparison import write_comparison
from systems.report.results import read_results
from utils.errors import InputError


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns its exit code, 2 for input that must be mended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders exp/[name]/[tag]@[timestamp]")
    parser.add_argument("--out", type=Path, default=Path("compare.html"), help="file to write (default: compare.html)")
    args = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    try:
        if len(args.runs) < 2:
            raise InputError(f"{args.runs[0]}: one run has nothing to be compared with. Give two or more folders.")
        if args.out.is_dir() or args.out.suffix not in (".html", ".htm"):
            raise InputError(f"--out {args.out}: expected the name of an HTML file, such as compare.html.")
        path = write_comparison([read_results(run) for run in args.runs], args.out)
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(f"{path}: {len(args.runs)} runs, {path.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
