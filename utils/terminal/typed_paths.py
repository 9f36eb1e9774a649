"""Paths as people type them: `~` is the home folder."""

import argparse
import os
from pathlib import Path
from typing import Any

from utils.errors import DataError
from utils.registry import nearest

MESH_HINT = "Give the path of a mesh, for example exp/<name>/<tag>/save/*.ply."


def typed_path(text: Path | str) -> Path:
    """The path that was typed, where `~` at the beginning is the home folder and `~name` that of another person.

    A shell leaves both to the program behind `=`, in quotes and in YAML. A name that nobody here has stays text."""
    return Path(os.path.expanduser(text))


def nearby(path: Path) -> str:
    """` Did you mean 'x'?` for a path that is not there but for a part that is misspelt, or an empty string."""
    there = next((folder for folder in path.parents if folder.is_dir()), None)
    if there is None:
        return ""
    wrong, *rest = path.parts[len(there.parts) :]
    found = nearest(wrong, [other.name for other in there.iterdir()])
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
    """A parser, of a sub-command too, whose arguments of `type=Path` are typed paths."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register("type", Path, typed_path)
