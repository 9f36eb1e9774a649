"""Prints what completes the commands, flags, choices and configs of photosurf in a shell.

Example: python scripts/completion.py bash > ~/.local/share/bash-completion/completions/photosurf

For zsh: photosurf completion zsh > FILE, and source FILE in ~/.zshrc."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
from scripts.command_line import exit_code_of, make_parser
from scripts.photosurf import COMMANDS
from utils.registry import ROOT

_ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
_BASH = """_photosurf() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words=
    if [ "$COMP_CWORD" = 1 ]; then
        words="COMMANDS"
    else
        case "$command $before" in
CHOICES
        *)
            case "$command $word" in
FLAGS
            esac
            ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _photosurf photosurf
"""


def completion_parser() -> argparse.ArgumentParser:
    """The flags of the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("shell", choices=("bash", "zsh"))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for bad input."""
    args = completion_parser().parse_args(argv)
    return exit_code_of(lambda: print((_ZSH if args.shell == "zsh" else "") + script(), end=""))


def script() -> str:
    """The completion of bash, which zsh takes too."""
    choices, flags = [], []
    for name, command in COMMANDS.items():
        beside = [COMMANDS["prepare"]] if name == "capture" else []  # which takes its flags too
        found = [action for one in (command, *beside) for action in _actions(one.make_parser())]
        words = dict.fromkeys(flag for action in found for flag in action.option_strings if flag.startswith("--"))
        flags.append(_case(f'"{name} -"*', words))
        for action in found:
            told = _configs() if "--config" in action.option_strings else action.choices
            if told and action.option_strings:
                choices += [_case(f'"{name} {flag}"', told) for flag in action.option_strings]
            elif told:  # of a position
                flags.append(_case(f'"{name} "*', told))
        if name == "train":
            flags.append(_case(f'"{name} "*', _configs()))
    parts = {"COMMANDS": " ".join(COMMANDS), "CHOICES": "\n".join(choices), "FLAGS": "\n".join(flags)}
    text = _BASH
    for part, lines in parts.items():
        text = text.replace(part, lines, 1)
    return text


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of a parser, and of those of its sub-commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for other in action.choices.values():
                yield from _actions(other)


def _configs() -> list[str]:
    return sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))


def _case(pattern: str, words: object) -> str:
    return f'            {pattern}) words="{" ".join(words)}" ;;'


if __name__ == "__main__":
    sys.exit(main())
