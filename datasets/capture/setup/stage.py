"""Stage `setup`: recognises how the object was photographed, and masks what turns on a turntable."""

import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datasets.capture.frames.frame_list import Frame, read_frame_list
from datasets.capture.options import CaptureOptions
from datasets.capture.setup.backdrop import MASK_SIDE, masks_of_position
from datasets.capture.setup.record import LIKELY_TURNS, SETUP_MASK_FOLDER, Setup, write_setup
from datasets.capture.setup.stillness import SMALL_SIDE, find_positions, log_frame, recognise, still_shares
from utils.images import read_image, write_png

log = logging.getLogger(__name__)
_MIN_TURNING = 0.002  # of the picture, in the median mask: with less there is no object that turns
_REASONS = {
    "given": "as --setup says",
    "still border": "what surrounds the object stays where it is in the pictures",
    "moving border": "what surrounds the object moves in the pictures",
    "blank border": "what surrounds the object is blank, and tells nothing",
    "nothing turns": "nothing turns in the pictures",
}


def recognise_setup(options: CaptureOptions, working: Path) -> dict[str, Any]:
    """Writes setup.json, and setup_masks/ for a turntable; returns the report."""
    frames, _ = read_frame_list(options.root)
    folder = options.root / "frames"
    small = [log_frame(read_image(folder / frame.name)[..., :3], SMALL_SIDE) for frame in frames]
    shares = still_shares(small)
    positions = find_positions(shares)
    found = recognise(small, shares, positions)
    kind, method = (found.kind, found.method) if options.setup == "auto" else (options.setup, "given")
    if kind == "turntable":
        share = _write_masks(folder, [[frames[i] for i in part] for part in positions], working)
        if share < _MIN_TURNING and options.setup == "auto":
            kind, method = "handheld", "nothing turns"
    named = tuple(tuple(frames[i].name for i in part) for part in positions) if kind == "turntable" else ()
    setup = Setup(kind, named or (tuple(frame.name for frame in frames),), method, found.still_share)
    write_setup(setup, working)
    places = f"{len(positions)} positions of the camera, " if kind == "turntable" and len(positions) > 1 else ""
    log.info(
        "  %s: %s (%s%.0f %% of the border stays between neighbours); --setup overrides this",
        *(kind, _REASONS[method], places, 100.0 * found.still_share),
    )
    return {
        "kind": kind,
        "method": method,
        "positions": [len(names) for names in setup.positions],
        "still_share": found.still_share,
        "border_contrast": found.contrast,
        "border_change": found.change,
    }


def _write_masks(folder: Path, positions: list[list[Frame]], working: Path) -> float:
    """Fills setup_masks/; returns the share of the picture that turns, in the median frame."""
    (target := working / SETUP_MASK_FOLDER).mkdir()
    shares = []
    for frames in positions:
        logs = [log_frame(read_image(folder / frame.name)[..., :3], MASK_SIDE) for frame in frames]
        for frame, mask in zip(frames, masks_of_position(logs), strict=True):
            shares.append((mask >= LIKELY_TURNS).mean())
            enlarged = cv2.resize(mask, frame.size, interpolation=cv2.INTER_LINEAR)
            write_png((target / frame.name).with_suffix(".png"), enlarged)
    return float(np.median(shares))
