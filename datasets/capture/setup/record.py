"""The record of the stage `setup`, setup.json: how the object was photographed."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

SETUP_FILE = "setup.json"
SETUP_MASK_FOLDER = "setup_masks"  # of a turntable: the lighter, the more surely something turns there
STILL, SEEMS_STILL, SEEMS_TO_TURN, TURNS_OR_SHADED, TURNS = 0, 64, 128, 192, 255  # grey levels of these masks
LIKELY_TURNS = (SEEMS_STILL + SEEMS_TO_TURN) // 2  # where nothing between is wanted

Kind = Literal["handheld", "turntable"]


@dataclass(frozen=True)
class Setup:
    """How the object was photographed."""

    kind: Kind
    positions: tuple[tuple[str, ...], ...]  # the names of the frames that each position of the camera gave, in order
    method: str  # what decided: "given", "still border", "moving border" or "blank border"
    still_share: float  # in [0, 1], of the border that stays the same between neighbouring frames, the median


def write_setup(setup: Setup, folder: Path) -> None:
    """Writes setup.json to a folder."""
    (folder / SETUP_FILE).write_text(json.dumps(asdict(setup), indent=1), encoding="utf-8")


def is_turntable(root: Path) -> bool:
    """Whether a prepared folder is of an object that turned before a camera that stood still."""
    return (root / SETUP_FILE).is_file() and read_setup(root).kind == "turntable"


def read_setup(root: Path) -> Setup:
    """The record of a prepared folder."""
    content = json.loads((root / SETUP_FILE).read_text(encoding="utf-8"))
    return Setup(**content | {"positions": tuple(tuple(names) for names in content["positions"])})
