"""Segments the object of a photograph with rembg, an optional package whose weights a user downloads."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

log = logging.getLogger(__name__)
NETWORKS = ("isnet-general-use", "u2net", "silueta", "u2netp")  # of rembg, the best first
_RELEASE = "https://github.com/danielgatis/rembg/releases/download/v0.0.0"


def load_segmenter() -> Callable[[np.ndarray], np.ndarray] | None:
    """A function from an image (H, W, 3) uint8 to the mask (H, W) uint8 of its foreground. Where rembg cannot be used,
    logs what is missing and returns None.

    Never downloads anything: of the weights in rembg's folder it uses the best."""
    try:
        import rembg
    except (ImportError, SystemExit) as error:  # without an ONNX runtime it ends the program
        log.warning("masks: cannot import rembg (%s). Install it with pip install 'rembg[cpu]'", error)
        return None
    folder = weights_folder()
    installed = [network for network in NETWORKS if (folder / f"{network}.onnx").is_file()]
    if not installed:
        log.warning(
            "masks: rembg has no weights. Download %s/%s.onnx to %s (or one of %s)",
            *(_RELEASE, NETWORKS[0], folder, ", ".join(NETWORKS[1:])),
        )
        return None
    try:
        session = rembg.new_session(installed[0])
    except Exception as error:  # whatever an ONNX runtime, a GPU driver or a damaged file comes up with
        log.warning("masks: rembg cannot use %s: %s", folder / f"{installed[0]}.onnx", error)
        return None
    log.info("masks: rembg with %s", installed[0])
    return lambda image: np.asarray(rembg.remove(image, session=session, only_mask=True, post_process_mask=True))


def weights_folder() -> Path:
    """The folder in which rembg looks for its weights."""
    home = os.getenv("U2NET_HOME", os.path.join(os.getenv("XDG_DATA_HOME", "~"), ".u2net"))
    return Path(os.path.expanduser(home))
