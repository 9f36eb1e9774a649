"""Writes many random scenes, reads them back and counts what came of them.

From the folder of the project: python tests/support/written/many_scenes.py --first 0 --count 2000"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path.cwd())]

import torch
from read_back import judge
from scene_choices import Choices, draw


def fault_of(choices: Choices, count: Counter | None = None) -> str:
    """What is wrong with a scene, and how to see it again; "" where nothing is.

    count: gets one more of what became of the scene."""
    with tempfile.TemporaryDirectory() as folder:
        verdict = judge(Path(folder), choices)
    if count is not None:
        count[verdict.kind] += 1
    if not verdict.is_fault:
        return ""
    again = f"python tests/support/written/many_scenes.py --first {choices.seed} --count 1"
    return f"{verdict.kind}: {verdict.why}\n  {choices}\n  {again}"


def main() -> int:
    """0 where no scene is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=2000, help="how many seeds")
    args = parser.parse_args()
    torch.set_num_threads(1)
    count, wrong = Counter(), 0
    for seed in range(args.first, args.first + args.count):
        if text := fault_of(draw(seed), count):
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
            wrong += 1
    for kind, number in sorted(count.items(), key=lambda item: -item[1]):
        sys.stdout.write(f"{number:6d}  {kind}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
