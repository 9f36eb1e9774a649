"""Cuts objects out of photographs with rembg, an optional package whose weights a user downloads."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

log = logging.getLogger(__name__)
MODELS = ("isnet-general-use", "u2net", "silueta", "u2netp")  # of rembg, the best first
_RELEASE = "https://github.com/danielgatis/rembg/releases/download/v0.0.0"


def cutter() -> Callable[[np.ndarray], np.ndarray] | None:
    """Turns an image (H, W, 3) uint8 into the mask (H, W) uint8 of what stands out; None, and a line in the log that
    says what is missing, where rembg cannot be used.

    Never downloads anything: of the weights that lie where rembg keeps them, the best are used."""
    try:
        import rembg
    except (ImportError, SystemExit) as error:  # without an ONNX runtime it ends the program
        log.warning("masks: rembg cannot be imported (%s); pip install 'rembg[cpu]' brings it", error)
        return None
    home = weights_folder()
    there = [model for model in MODELS if (home / f"{model}.onnx").is_file()]
    if not there:
        log.warning(
            "masks: rembg has no weights; download %s/%s.onnx to %s (or one of %s)",
            *(_RELEASE, MODELS[0], home, ", ".join(MODELS[1:])),
        )
        return None
    try:
        session = rembg.new_session(there[0])
    except Exception as error:  # whatever an ONNX runtime, a GPU driver or a damaged file comes up with
        log.warning("masks: rembg cannot use %s: %s", home / f"{there[0]}.onnx", error)
        return None
    log.info("masks: rembg with %s", there[0])
    return lambda image: np.asarray(rembg.remove(image, session=session, only_mask=True, post_process_mask=True))


def weights_folder() -> Path:
    """Where rembg keeps its weights."""
    home = os.getenv("U2NET_HOME", os.path.join(os.getenv("XDG_DATA_HOME", "~"), ".u2net"))
    return Path(os.path.expanduser(home))
