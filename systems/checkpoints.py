"""Reads checkpoints safely, and says in one line why one does not fit."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from utils.errors import CheckpointError


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; no code in it is run. Raises CheckpointError for a broken file."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{path}: not a readable checkpoint ({path.stat().st_size} bytes): {reason} "
            f"If writing it was interrupted, resume from an older one in {path.parent}."
        ) from None
    if not isinstance(content, dict) or "state_dict" not in content or "global_step" not in content:
        raise CheckpointError(f"{path}: expected a checkpoint with state_dict and global_step, got something else.")
    return content


def weights_of(content: dict[str, Any]) -> dict[str, Tensor]:
    """The parameters of a checkpoint that a system has before it knows its training images."""
    return {
        name: value for name, value in content["state_dict"].items() if not name.startswith(("exposure.", "error_map."))
    }


def check_fit(path: Path, state: dict[str, Tensor], module: nn.Module) -> None:
    """Raises CheckpointError where the parameters of a checkpoint are not those of the module."""
    own = module.state_dict()
    missing, extra = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    different = [name for name in own if name in state and own[name].shape != state[name].shape]
    if missing or extra:
        name, what = (missing[0], "lacks") if missing else (extra[0], "holds the unknown")
        problem = f"it {what} {name} (in all {len(missing)} parameters missing, {len(extra)} unknown)"
    elif different:
        name = different[0]
        problem = f"{name} has shape {tuple(state[name].shape)} there and {tuple(own[name].shape)} here"
    else:
        return
    raise CheckpointError(
        f"{path}: belongs to another model: {problem}. Use the config of its run (config/parsed.yaml beside ckpt/), "
        f"or leave --config out."
    )


def load_weights(path: Path, module: nn.Module) -> int:
    """Puts the weights of a checkpoint into a system; returns their step. Raises CheckpointError."""
    content = read_checkpoint(path)
    check_fit(path, weights_of(content), module)
    module.load_state_dict(weights_of(content))
    return content["global_step"]
