"""What the command lines of all scripts share: how --help looks, and how errors end."""

import argparse
import sys
import traceback
from collections.abc import Callable
from typing import Any

from utils.errors import InputError
from utils.files import remedy
from utils.typed_paths import PathParser


def make_parser(doc: str, **options: Any) -> PathParser:
    """A parser whose --help shows the docstring of a script as it is written."""
    return PathParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, **options)


def exit_code_of(work: Callable[[], int | None], verbose: bool = False) -> int:
    """Runs the work of a script; returns its exit code: that of the work, 0 for None, 2 for bad input.

    Bad input, and a file that cannot be written, are one line on stderr; verbose: a traceback before it."""
    try:
        return work() or 0
    except (InputError, OSError) as error:
        message = str(error)
        if isinstance(error, OSError):
            if (hint := remedy(error)) is None:
                raise
            message = f"{error.filename}: {error.strerror}. {hint}"
        if verbose:
            traceback.print_exc()
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2
