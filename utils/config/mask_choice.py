"""Whether the masks of a folder of photographs show the object, as configs are chosen by it; free of torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.terminal.typed_paths import typed_path

MASK_FOLDERS = ("masks", "mask")
OBJECT_FILE = "object.json"  # the sphere around what the masks leave, closer than that of the region


def object_alone(root: str, applied: Any, masks: Any, file: Any = None) -> tuple[bool, str]:
    """Whether masks show the object of a folder of photographs and are used, and why, in words.

    applied, masks: what dataset.apply_mask and dataset.masks say; file: the JSON file whose frames may name masks."""
    folder = typed_path(root)
    found = next((f"{name}/" for name in MASK_FOLDERS if (folder / name).is_dir()), None)
    means, named = "object", None if file is None else _named(folder, str(file))
    if named is not None:
        found, means = f"mask_path of {file}", named
    if found is None:
        return False, "there are no masks"
    if masks == "ignore" or (masks != "object" and means == "ignore"):
        told = "dataset.masks=ignore" if masks == "ignore" else "dataset.masks=object says otherwise"
        return False, f"{found} tells where not to look ({told})"
    if applied is not True:
        return False, f"{found} is not used (dataset.apply_mask=false)"
    return True, f"{found} shows it"


def shows_object(meta: Mapping[str, Any], root: Path) -> bool:
    """Whether the masks that frames of a transforms.json name show the object, as far as its content `meta` and the
    folder tell: prepare.py writes so, and before it did, its folders told by the sphere around the object."""
    return meta.get("masks") == "object" or (root / OBJECT_FILE).is_file()


def _named(folder: Path, file: str) -> str | None:
    """What masks mean that the frames of a JSON file name; None where none does, or where it cannot be read, which the
    dataset then says."""
    try:
        meta = json.loads((folder / file).read_text(encoding="utf-8-sig"))
        if not any(frame.get("mask_path") for frame in meta["frames"]):
            return None
        return "object" if shows_object(meta, folder) else "ignore"
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
