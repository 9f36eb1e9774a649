"""Paths as people type them: `~` is the home folder."""

import argparse
import os
from pathlib import Path
from typing import Any


def typed_path(text: Path | str) -> Path:
    """The path that was typed, where `~` at the beginning is the home folder and `~name` that of another person.

    A shell leaves both to the program behind `=`, in quotes and in YAML. A name that nobody here has stays text."""
    return Path(os.path.expanduser(text))


class PathParser(argparse.ArgumentParser):
    """A parser, of a sub-command too, whose arguments of `type=Path` are typed paths."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register("type", Path, typed_path)
