"""Reads JSON files that people or other programs wrote."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from utils.config.schema import is_number
from utils.errors import DataError


def read_json(path: Path, expected: str, remedy: str = "") -> Any:
    """The content of a JSON file, with or without a byte-order mark.

    expected: what the file should contain; remedy: what to do otherwise; both for the message. Raises DataError for a
    file that is missing, is not UTF-8 or JSON, or is nested too deeply."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=partial(_without_twins, path))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: expected {expected} in UTF-8, got another coding. Save it as UTF-8.{remedy}"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected {expected}, got a file that cannot be read ({error}).{remedy}") from error


def _without_twins(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises DataError for a key that it has twice with different values: only one can be meant."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if found.setdefault(key, value) != value:
            raise DataError(
                f"{path}: expected each key once, got {key} twice, as {str(found[key])[:80]} and {str(value)[:80]}. "
                f"Remove the one that is wrong."
            )
    return found


def to_number(value: Any, key: str, where: str) -> float:
    """The value of a key as a float. Raises DataError unless it is a finite number."""
    if not is_number(value):
        hint = " Write it with a point, without quotes." if isinstance(value, str) else " Export the file again."
        raise DataError(f"{where}: expected {key} to be a finite number, got {value!r}.{hint}")
    return float(value)


def to_vector(value: Any, key: str, where: str) -> np.ndarray:
    """(3,) float64 the value of a key. Raises DataError unless it is a list of three finite numbers."""
    if not isinstance(value, list) or len(value) != 3:
        raise DataError(f"{where}: expected {key} to be three numbers, got {value!r}.")
    return np.array([to_number(part, key, where) for part in value])
