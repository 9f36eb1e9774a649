"""All command lines behind one name: pip install . makes it the command photosurf.

Example: python scripts/photosurf.py capture cup.mp4
Example: photosurf train neus-colmap dataset.root_dir=CAPTURE"""

import argparse
import importlib
import platform
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import takewhile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
from scripts.command_line import make_parser
from systems.runs.command_line import MODES
from utils.registry import ROOT, nearest
from utils.terminal.typed_paths import typed_path


@dataclass(frozen=True)
class Command:
    """A word behind photosurf, and where what it does lies."""

    told: str
    module: str
    parser: str  # module:function that makes its parser

    def make_parser(self) -> argparse.ArgumentParser:
        """The parser of its flags."""
        module, _, function = self.parser.partition(":")
        return getattr(importlib.import_module(module), function)()


_LAUNCH = "launch", "systems.runs.command_line:make_parser"
COMMANDS = {
    "capture": Command(
        "from a video or photographs to a mesh: prepare, then train",
        "scripts.capture",
        "scripts.capture:capture_parser",
    ),
    "demo": Command("train on the bundled scene", *_LAUNCH),
    "train": Command("train a config, or go on with a run", *_LAUNCH),
    "prepare": Command(
        "make a dataset from a video or photographs", "scripts.prepare", "scripts.prepare:prepare_parser"
    ),
    "export": Command("export the mesh of a run again", "scripts.export", "scripts.export:export_parser"),
    "view": Command("show a run in the browser", "scripts.view", "scripts.view:view_parser"),
    "evaluate": Command(
        "measure meshes or images against the truth", "scripts.evaluate", "scripts.evaluate:evaluate_parser"
    ),
    "sweep": Command("train many scenes with many variants", "scripts.sweep", "scripts.sweep:sweep_parser"),
    "compare": Command("show several runs side by side", "scripts.compare", "scripts.compare:compare_parser"),
    "scale-sheet": Command(
        "write a sheet to print, for meshes in metres", "scripts.scale_sheet", "scripts.scale_sheet:sheet_parser"
    ),
    "completion": Command(
        "print what completes these words in a shell", "scripts.completion", "scripts.completion:completion_parser"
    ),
}


def launch_words(name: str, words: Sequence[str]) -> list[str]:
    """The command line of launch.py for `photosurf train` or `photosurf demo`: words before the first flag or key=value
    are configs, and it trains where no flag says something else."""
    words = list(words)
    if name == "demo":
        words = ["neus-demo", f"dataset.root_dir={ROOT / 'load' / 'spot'}", *words]
    configs = list(takewhile(lambda word: not word.startswith("-") and "=" not in word, words))
    words = [*(["--config", *configs] if configs else []), *words[len(configs) :]]
    modes = {f"--{mode}" for mode in (*MODES, "list", "dump")}
    return words if modes.intersection(words) else ["--train", *words]


def version() -> str:
    """The number of this version, with those of Python and torch: what a report of a fault should name."""
    project = ROOT / "pyproject.toml"  # of a checkout; beside an installed one there is none
    if project.is_file():
        own = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
    else:
        own = metadata.version("photosurf")
    return f"photosurf {own}, Python {platform.python_version()}, torch {metadata.version('torch')}"


def main(argv: list[str] | None = None) -> int:
    """Runs the command that the first word names; returns its exit code."""
    words = sys.argv[1:] if argv is None else argv
    words = [*words[1:2], "--help"] if words[:1] == ["help"] else words
    parser = make_parser(__doc__, prog="photosurf")
    own = version() if words[:1] == ["--version"] else ""  # which takes a moment
    parser.add_argument("--version", action="version", version=own, help="show the version, and end")
    if words and words[0].startswith("-") and words[0] not in (flags := ("-h", "--help", "--version")):
        near = nearest(words[0], flags)
        parser.exit(
            2, f"error: command line: '{words[0]}': unknown flag.{near} A command comes first: photosurf --help.\n"
        )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.told, add_help=False)
    if words and words[0] not in COMMANDS and (given := typed_path(words[0])).exists():
        command = "view" if (given / "config/parsed.yaml").is_file() else "capture"
        parser.exit(2, f"error: command line: '{given}': a command comes first: photosurf {command} {given}\n")
    name, words = parser.parse_args(words[:1]).command, words[1:]
    module = importlib.import_module(COMMANDS[name].module)
    program = f"photosurf {name}"
    if module.__name__ == "launch":  # as Lightning starts it again for several GPUs
        program, words = str(ROOT / "launch.py"), launch_words(name, words)
    sys.argv = [program, *words]
    return module.main(words)


if __name__ == "__main__":
    sys.exit(main())
