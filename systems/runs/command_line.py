"""The flags of launch.py and its key=value overrides; free of torch."""

import argparse
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

from utils import registry
from utils.errors import ConfigError
from utils.files import require_place
from utils.terminal.typed_paths import PathParser, typed_path

# What launch.py does, and the splits of the dataset that it needs for that.
MODES = {"train": ("train", "val", "test"), "validate": ("val",), "test": ("test",), "predict": ("test",)}

_EPILOG = """key=value words override the YAML files; they are written without dashes and without spaces.

Examples:
  python launch.py --config configs/neus-demo.yaml --train
  python launch.py --config configs/neus-capture.yaml --train dataset.root_dir=scans/cup trainer.max_steps=5000
  python launch.py --resume exp/neus-demo/first@DATE --test
  python launch.py --config configs/neus-blender.yaml --dump dataset.scene=lego"""


class _Parser(PathParser):
    def error(self, message: str) -> None:
        told = self.in_words(message)
        where = "" if told.startswith("command line:") else "command line: "
        raise ConfigError(f"{where}{told} See python launch.py --help.")


def make_parser() -> argparse.ArgumentParser:
    """The flags of the command line."""
    parser = _Parser(
        prog="launch.py",
        description="Neural surface reconstruction: takes photographs with known cameras, makes a mesh.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", nargs="+", action="extend", metavar="YAML", help="one or more files; later ones override earlier"
    )
    parser.add_argument(
        "--gpu",
        default="auto",
        help="a number such as 0, several such as 0,1 to train on together, cpu, or auto "
        "(default): the first GPU, the CPU if there is none",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--train", action="store_true", help="train, then do what --test does")
    mode.add_argument("--validate", action="store_true", help="render the validation views and measure them")
    mode.add_argument(
        "--test", action="store_true", help="render the held-out views, measure them, export the mesh and a video"
    )
    mode.add_argument("--predict", action="store_true", help="render a video of an orbit around the object")
    mode.add_argument("--list", action="store_true", help="list every component with its file and its keys")
    mode.add_argument("--dump", action="store_true", help="print the resolved YAML")
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on with a run: its folder, for its newest checkpoint, or a .ckpt file in it",
    )
    parser.add_argument(
        "--resume_weights_only", action="store_true", help="begin a new run at step 0 with the weights of --resume"
    )
    parser.add_argument("--exp_dir", type=Path, default=Path("exp"), help="folder of the results (default: exp)")
    parser.add_argument(
        "--runs_dir", type=Path, default=Path("runs"), help="folder of the TensorBoard logs (default: runs)"
    )
    parser.add_argument(
        "--view",
        nargs="?",
        const="",
        metavar="PORT",
        help="with --train: show the model in the browser while it trains (default port: 8080)",
    )
    parser.add_argument(
        "--view_host",
        default="127.0.0.1",
        metavar="HOST",
        help="the address that --view listens on (default: this machine only)",
    )
    parser.add_argument("--verbose", action="store_true", help="log more, and show the traceback of an error")
    return parser


def parse_args(argv: list[str]) -> argparse.Namespace:
    """The flags, with all key=value words in `overrides`. Raises ConfigError for any other word, and OutputError where
    results cannot be written."""
    parser = make_parser()
    args, rest = parser.parse_known_args(argv)
    args.argv = argv
    args.config = args.config or []
    args.overrides = [item for item in [*args.config, *rest] if "=" in item and not item.startswith("-")]
    args.config = [str(_config_file(item)) for item in args.config if item not in args.overrides]
    if args.view and "=" in args.view:  # an override after --view, which takes the next word for a port
        args.overrides, args.view = [args.view, *args.overrides], ""
    flags = {flag: action for action in parser._actions for flag in action.option_strings}
    for item in rest:
        if item not in args.overrides or item.startswith("="):
            raise _unknown(item, rest, list(flags))
    for item in args.overrides:
        _refuse_flag(item, flags)
    _check_flags(args)
    return args


def _find_config(typed: str) -> Path:
    """The file that a name means, whether or not it is there; `neus-demo` and `configs/neus-demo` are
    configs/neus-demo.yaml."""
    path = typed_path(typed)
    beside = [
        path.with_name(f"{path.name}.yaml"),
        *(registry.ROOT / "configs" / f"{typed}{end}" for end in ("", ".yaml")),
    ]
    return next((file for file in (path, *beside) if file.is_file()), path)


def _config_file(typed: str) -> Path:
    """The file that --config names. Raises ConfigError for a folder, and for a name that no config has."""
    if not typed:
        raise ConfigError("--config: expected a YAML file, such as configs/neus-demo.yaml, got nothing.")
    found = _find_config(typed)
    if not found.exists() and (found.suffix != ".yaml" or "\\" in typed):
        known = [file.stem for file in (registry.ROOT / "configs").glob("*.yaml")]
        name = typed.replace("\\", "/").rstrip("/").split("/")[-1]
        near = registry.nearest(name.rpartition(".")[0] or name, [*known, *(f"--{mode}" for mode in MODES)])
        hint = near or f" Known names: {', '.join(sorted(known))}."
        raise ConfigError(f"--config {typed}: no such config file.{hint}")
    if found.is_dir():
        hint = "--config takes a YAML file, such as configs/neus-demo.yaml."
        if (found / "config/parsed.yaml").is_file():
            hint = f"To go on with this run: --resume {typed}."
        raise ConfigError(f"--config {typed}: is a folder. {hint}")
    return found


def _unknown(item: str, words: list[str], flags: list[str]) -> ConfigError:
    """The error for a word that is neither a flag nor key=value. words: all of those, in their order."""
    after = words[words.index(item) + 1 :]
    if (
        item.startswith("=")
        or any(word.startswith("=") for word in after[:1])
        or words[max(words.index(item) - 1, 0)].endswith("=")
    ):
        return ConfigError(f"command line: '{item}': key=value is one word: no spaces around the =.")
    if item.startswith("-") and "=" in item and "." in item.partition("=")[0]:
        return ConfigError(f"command line: '{item}': overrides have no dashes: {item.lstrip('-')}.")
    if not item.startswith("-") and ":" in item:
        return ConfigError(f"command line: '{item}': expected key=value, with = in place of the colon.")
    if not item.startswith("-") and _find_config(item).is_file():
        return ConfigError(f"command line: '{item}': write --config {item}.")
    kind = "unknown flag" if item.startswith("-") else "expected key=value"
    near = registry.nearest(item, flags)
    if not near and not item.startswith("-"):
        before = words[: words.index(item)][-1:]
        if before and "=" in before[0]:
            value = takewhile(lambda word: "=" not in word and not word.startswith("-"), [item, *after])
            near = f' If it belongs to the word before it, use quotes: "{" ".join([*before, *value])}".'
        elif typed_path(item).is_dir():
            near = f" Write dataset.root_dir={item}."
    near = near or " Settings are words such as trainer.max_steps=5000."
    return ConfigError(f"command line: '{item}': {kind}.{near} See python launch.py --help.")


def _refuse_flag(item: str, flags: Mapping[str, argparse.Action]) -> None:
    """Raises ConfigError for a flag that is written as a setting, such as gpu=0."""
    name, _, value = item.partition("=")
    if (action := flags.get(f"--{name}")) is not None:
        told = f"--{name}" if action.nargs == 0 else f"--{name} {value}".rstrip()
        raise ConfigError(f"command line: '{item}': {name} is a flag and no setting. Write {told}.")


def check_gpu(gpu: str, trains: bool = True) -> None:
    """Raises ConfigError for what can be no --gpu, on any machine; only what trains takes several."""
    names = [name.strip() for name in gpu.split(",")]
    if not all(name in ("auto", "cpu") or name.isdigit() for name in names):
        raise ConfigError(f"--gpu {gpu}: expected auto, cpu, the index of a GPU such as 0, or several such as 0,1.")
    if len(names) > 1 and set(names) != {"cpu"} and (len(set(names)) < len(names) or {"cpu", "auto"} & set(names)):
        raise ConfigError(f"--gpu {gpu}: expected each GPU once, and no cpu among them. Give indices such as 0,1.")
    if len(names) > 1 and not trains:
        hint = f"Name one, such as --gpu {names[0]}."
        raise ConfigError(f"--gpu {gpu}: several devices serve launch.py --train only. {hint}")


def _check_flags(args: argparse.Namespace) -> None:
    """Raises ConfigError for flags that do not go together or cannot be what they name, OutputError for folders that
    cannot be made."""
    if not any(getattr(args, name) for name in (*MODES, "list", "dump")):
        told = ", ".join(f"--{mode}" for mode in MODES)
        raise ConfigError(f"command line: say what to do: {told}, --list or --dump. See python launch.py --help.")
    check_gpu(args.gpu, not (args.validate or args.test or args.predict))
    is_new = args.train and (args.resume is None or args.resume_weights_only)
    for flag in (*(("exp_dir",) if is_new else ()), *(("runs_dir",) if args.train else ())):
        require_place(getattr(args, flag), f"--{flag} {getattr(args, flag)}")
    if args.resume_weights_only and args.resume is None:
        raise ConfigError("command line: --resume_weights_only needs --resume RUN.")
    if args.resume is None and (args.validate or args.test or args.predict):
        raise ConfigError("command line: --validate, --test and --predict need --resume RUN.")
    if args.view is not None and not args.train:
        raise ConfigError("command line: --view goes with --train. For a finished run: python scripts/view.py RUN.")
