"""Paths as people type them: `~` is the home folder."""

import argparse
import os
import re
from pathlib import Path
from typing import Any, NoReturn

from utils.errors import DataError
from utils.registry import nearest

MESH_HINT = "Give the path of a mesh, for example exp/<name>/<tag>/save/*.ply."


def typed_path(text: Path | str) -> Path:
    """The path that was typed, where `~` at the beginning is the home folder and `~name` that of another person.

    A shell leaves both to the program behind `=`, in quotes and in YAML. A name that nobody here has stays text."""
    return Path(os.path.expanduser(text))


def nearby(path: Path) -> str:
    """What is at fault with a path where no file or folder of the wanted kind is, such as ` Did you mean 'x'?`, or an
    empty string.

    Tells of a file, of a link to nothing, of quotes and backslashes that belong to another shell, of a name with spaces
    that no quotes held together, and of a part that is misspelt."""
    if os.path.lexists(path):
        return " That is a file." if path.is_file() else "" if path.exists() else " That is a link to nothing."
    plain = Path(str(path).strip("'\"").replace("\\", "/"))
    if plain != path and plain.exists():
        return f" Did you mean '{plain}'?"
    there = next((folder for folder in path.parents if folder.is_dir()), None)
    if there is None:
        return ""
    wrong, *rest = path.parts[len(there.parts) :]
    names = sorted(other.name for other in there.iterdir())
    if spaced := next((name for name in names if name.startswith(f"{wrong} ") and not rest), None):
        return f' Put a path with spaces into quotes: "{there / spaced}".'
    found = nearest(wrong, names)
    if not found:
        return ""
    right = there / found.split("'")[1]
    return f" Did you mean '{right.joinpath(*rest) if right.joinpath(*rest).exists() else right}'?"


def require_files(*paths: Path, hint: str) -> None:
    """Raises DataError for the first path where no file is; hint: what to give."""
    for path in paths:
        if not path.is_file():
            kind = "is a folder" if path.is_dir() else "no such file"
            raise DataError(f"{path}: {kind}.{nearby(path) if kind == 'no such file' else ''} {hint}")


class PathParser(argparse.ArgumentParser):
    """A parser, of a sub-command too, whose arguments of `type=Path` are typed paths, and whose errors are one line.

    hint: what an unknown flag may be meant for, where none is like it; a sentence."""

    def __init__(self, *args: Any, hint: str = "", **options: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False} | options)  # --gpu is not --gpus
        self._hint = f" {hint}" if hint else ""
        self.register("type", Path, typed_path)

    def error(self, message: str) -> NoReturn:
        """Ends with one line on stderr and exit code 2."""
        self.exit(2, f"error: {self.in_words(message)} See {self.prog} --help.\n")

    def in_words(self, message: str) -> str:
        """A message of argparse as a sentence: what was expected, and the known word nearest to the one that came."""
        flags, positional = self._flags(), [action for action in self._actions if not action.option_strings]
        message = message.removeprefix("argument ")
        if chosen := re.fullmatch(r"(.*?): invalid choice: '(.*)' \(choose from (.*)\)", message):
            known = re.findall(r"[^', ]+", chosen[3])
            where = chosen[1] if chosen[1].startswith("-") else "command line"
            return f"{where}: expected one of {', '.join(known)}, got '{chosen[2]}'.{nearest(chosen[2], known)}"
        if unknown := re.fullmatch(r"unrecognized arguments: (\S+).*", message):
            kind = "unknown flag" if unknown[1].startswith("-") else "one word too many"
            return f"command line: '{unknown[1]}': {kind}.{nearest(unknown[1], flags) or self._hint}"
        if absent := re.fullmatch(r"the following arguments are required: (.*)", message):
            told = {str(action.metavar or action.dest): action for action in positional if action.choices}
            names = [name for name in absent[1].split(", ") if name != "key=value"]  # which never is
            names = [f"one of {', '.join(told[name].choices)}" if name in told else name for name in names]
            return f"command line: {' and '.join(names)} {'is' if len(names) == 1 else 'are'} missing."
        for kind, words in (("int", "a whole number"), ("float", "a number")):
            message = message.replace(f"invalid {kind} value:", f"expected {words}, got")
        return f"{message}."

    def _flags(self) -> list[str]:
        """All flags, those of sub-commands too."""
        inner = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        parsers = [self, *(parser for action in inner for parser in action.choices.values())]
        return [flag for parser in parsers for action in parser._actions for flag in action.option_strings]
