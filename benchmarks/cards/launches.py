"""Counts what a training step launches on a GPU that need not be there: kernels of this house, and operations of torch.

    python -m benchmarks.cards.launches neus-blender

Each launch takes a GPU 1.5 to 2 microseconds, however little it computes. Drawing pixels, two or three more, is left
out."""

import os

import torch

from benchmarks import common
from benchmarks.cards.steps import CASES
from utils.errors import ConfigError


def work(argv: list[str]) -> int:
    """Prints the launches of a case, most first. Raises ConfigError."""
    parser = common.PlainParser("cards.launches", "Counts what a training step launches.")
    parser.add_argument("case", choices=list(CASES))
    case = parser.parse_args(argv).case
    if os.environ.get("TRITON_INTERPRET") == "1":
        raise ConfigError("TRITON_INTERPRET=1: the interpreter launches nothing. Unset it.")
    from benchmarks.cards.counting import launches  # it needs Triton, which not every system has

    torch.set_num_threads(1)
    found = launches(case)
    for name, number in found.most_common():
        print(f"{number:4d} {name}")
    print(f"{found.total():4d} in all")
    return 0


if __name__ == "__main__":
    raise SystemExit(common.run_command(work))
