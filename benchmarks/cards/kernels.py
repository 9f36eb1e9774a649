"""Compiles the Triton kernels, as real steps launch them, for cards that need not be there: shared memory and spills.

    python -m benchmarks.cards.kernels --cards sm_75 sm_86 --kernels sdf mlp

Without --kernels, --few, --tiles_of and --out, the results of these cards are kept, and docs/dev/cards.md is written
from all that are. What has not changed comes out of Triton's cache."""

import argparse
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import common
from benchmarks.cards.page import DOCUMENT, page
from benchmarks.cards.steps import CASES, FEW
from models.ops.cards import KNOWN
from utils.errors import ConfigError
from utils.files import replacing

NETWORKS = ("mlp", "sdf")
RESULT = Path(__file__).with_name("compiled.json")


def make_parser() -> common.PlainParser:
    """The flags of the command line."""
    parser = common.PlainParser("cards.kernels", "Compiles the Triton kernels for cards that need not be there.")
    parser.add_argument("--cards", nargs="+", choices=list(KNOWN), default=list(KNOWN), help="default: all")
    parser.add_argument("--kernels", nargs="+", default=[], metavar="PART", help="of names: sdf, mlp, hash_kernels")
    parser.add_argument("--few", action="store_true", help="of one config alone")
    parser.add_argument("--tiles_of", choices=list(KNOWN), help="takes the tiles and types of this card for all")
    parser.add_argument("--jobs", type=common.whole_number(1), default=os.cpu_count(), help="processes (default: all)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a JSON file, in place of the results and the page")
    return parser


def compiled(
    args: argparse.Namespace, cases: Iterable[str], kernels: Sequence[str], tiles_of: str | None
) -> list[dict[str, Any]]:
    """The figures of the launches that cases make for the cards of the flags, as plain values."""
    from benchmarks.cards import compiling  # it needs Triton, which not every system has

    torch.set_num_threads(1)
    every = compiling.launches(args.cards, cases, kernels, tiles_of)

    def tell(done: int, new: compiling.Figures) -> None:
        what = new.error or f"{new.shared_memory} bytes shared, {new.spilled} spilled, {new.seconds} s"
        common.progress(f"{done}/{len(every)} {new.card} {new.kernel} {new.variant}: {what}")

    return [figures.as_dict() for figures in compiling.compile_all(every, args.jobs, tell)]


def work(argv: list[str]) -> int:
    """Compiles, and writes what was found. Raises ConfigError."""
    args = make_parser().parse_args(argv)
    if os.environ.get("TRITON_INTERPRET") == "1":
        raise ConfigError("TRITON_INTERPRET=1: the interpreter compiles nothing. Unset it.")
    if args.out is not None or args.few or args.kernels or args.tiles_of:
        report = {"kernels": compiled(args, FEW if args.few else CASES, args.kernels, args.tiles_of)}
        if args.out is not None:
            _write(args.out, report)
        return 0
    report = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {"cards": {}}
    report["environment"] = common.environment(torch.device("cpu"))
    for card in list(args.cards):
        args.cards = [card]
        report["cards"][card] = found = {"own_tiles": compiled(args, CASES, (), None)}
        if KNOWN[card].tiles is not KNOWN["sm_90"].tiles:
            found["few"] = {"tiles_of_sm_90": compiled(args, FEW, NETWORKS, "sm_90")}
            found["few"]["own_tiles"] = compiled(args, FEW, NETWORKS, None)
        _write(RESULT, report)  # after each card: all of them take an hour on two cores
        with replacing(DOCUMENT) as temporary:
            temporary.write_text(page(report), encoding="utf-8")
    return 0


def _write(path: Path, report: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        text = json.dumps(report).replace("}, {", "},\n{")  # a kernel a line
        temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(common.run_command(work))
