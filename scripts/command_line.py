"""What the command lines of all scripts share: how --help looks, and how errors end."""

import argparse
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from utils.errors import InputError, MissingPackageError
from utils.files import as_input
from utils.platforms import print_utf8
from utils.terminal.typed_paths import PathParser


def make_parser(doc: str, **options: Any) -> PathParser:
    """A parser whose --help shows the docstring of a script as it is written."""
    print_utf8()
    return PathParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, **options)


def exit_code_of(work: Callable[[], int | None], verbose: bool = False) -> int:
    """Runs the work of a script; returns its exit code: that of the work, 0 for None, 2 for bad input.

    Bad input, and a file that cannot be written, are one line on stderr; verbose: a traceback before it."""
    try:
        return work() or 0
    except (InputError, OSError) as error:
        told = as_input(error) if isinstance(error, OSError) else error
        if told is None:
            raise
        if verbose:
            traceback.print_exc()
    _print_error(str(told))
    return 2


@contextmanager
def imports_told() -> Iterator[None]:
    """Around the imports of a script that does nothing without a package: it ends with one line and exit code 2."""
    try:
        yield
    except MissingPackageError as error:
        _print_error(str(error))
        sys.exit(2)


def _print_error(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
