"""From a video or photographs to a mesh: prepares a dataset, then trains on it.

Example: python scripts/capture.py cup.mp4 --frames 200 export.texture=views

Flags that are not listed here are those of prepare.py, key=value those of launch.py."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
from scripts import prepare
from scripts.command_line import exit_code_of, make_parser
from systems.configs import read_experiment
from systems.runs.command_line import parse_args
from systems.training.missing_gpu import refuse_missing_gpu
from utils.platforms import on_windows
from utils.registry import ROOT


def capture_parser() -> argparse.ArgumentParser:
    """The flags that prepare.py has not."""
    usage = "%(prog)s INPUT ... [--out OUT] [--config YAML] [--gpu GPU] [flags of prepare.py] [key=value ...]"
    parser = make_parser(__doc__, usage=usage, allow_abbrev=False)
    parser.add_argument("--out", type=Path, help="folder for the dataset (default: load/, the name of INPUT)")
    parser.add_argument(
        "--config",
        default="neus-capture",
        metavar="YAML",
        help="what to train (default: neus-capture; neus-capture-cpu suits a machine without a GPU)",
    )
    parser.add_argument("--gpu", default="auto", help="index of the GPU, cpu, or auto (default): the first, else CPU")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for bad input."""
    words = sys.argv[1:] if argv is None else argv
    overrides = [word for word in words if "=" in word and not word.startswith("-") and not Path(word).exists()]
    args, given = capture_parser().parse_known_args([word for word in words if word not in overrides])
    parser = prepare.prepare_parser()
    parser.error = lambda message: type(parser).error(parser, message.replace("required: OUT", "required: INPUT"))
    first = parser.parse_intermixed_args([*given, "--", "OUT"]).inputs[0]
    out = args.out or Path("load") / first.resolve().stem
    words = ["--config", args.config, "--train", "--gpu", args.gpu, f"dataset.root_dir={out}", *overrides]
    if code := exit_code_of(lambda: check_training(words)):
        return code
    if code := prepare.main([*given, "--", str(out)]):
        return code
    print(f"dataset: {out}; results go below exp/")
    return become([sys.executable, str(ROOT / "launch.py"), *words])


def check_training(words: Sequence[str]) -> None:
    """Raises ConfigError for words that launch.py would refuse here, before the dataset, which may take an hour."""
    args = parse_args(list(words))
    read_experiment(args.config, args.overrides)
    refuse_missing_gpu(args.gpu)


def become(command: Sequence[str]) -> int:
    """Runs a command in place of this process, so that signals reach it; returns its exit code where that cannot be.

    In a process of its own, torch loads its libraries before those of COLMAP."""
    sys.stdout.flush()
    if not on_windows():
        os.execv(command[0], command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends well
    return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
