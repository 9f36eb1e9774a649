"""Reads JSON files that others wrote."""

import json
from pathlib import Path
from typing import Any

from utils.errors import DataError


def read_json(path: Path, expected: str, remedy: str = "") -> Any:
    """The content of a JSON file, with or without a byte-order mark.

    expected: what belongs there, remedy: what to do. Raises DataError for a file that is missing, no UTF-8, no JSON, or
    nested beyond reason."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected {expected}, got one that cannot be read ({error}).{remedy}") from error
