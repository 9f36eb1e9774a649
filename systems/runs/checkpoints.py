"""Writes checkpoints completely or not at all, with a checksum; reads them safely; explains why one does not fit."""

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from systems.runs.seal import is_whole, seal
from utils.errors import CheckpointError
from utils.files import flush_to_disk, replacing

log = logging.getLogger(__name__)


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Writes a checkpoint with the SHA-256 of its bytes; whatever happens, the file is complete or not there.

    Raises OSError, or RuntimeError from torch, if the disk is full or the folder read-only; an older file stays."""
    with replacing(path) as temporary:
        torch.save(content, temporary)
        seal(temporary)
        flush_to_disk(temporary)
    flush_to_disk(path.parent)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; no code in it is run. Raises CheckpointError for a broken file."""
    try:
        if is_whole(path) is False:
            raise ValueError("its bytes are not those that were written, by their checksum.")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises whatever its reader stumbles over
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{path}: not a readable checkpoint ({path.stat().st_size} bytes): {reason} "
            f"If writing it was interrupted, resume from an older one in {path.parent}."
        ) from None
    state = content.get("state_dict") if isinstance(content, dict) else None
    whole = isinstance(state, dict) and all(isinstance(value, Tensor) for value in state.values())
    if not whole or not isinstance(content.get("global_step"), int):
        raise CheckpointError(f"{path}: expected a checkpoint with state_dict and global_step, got something else.")
    return content


def read_newest(paths: Sequence[Path]) -> tuple[Path, dict[str, Any]]:
    """The first of some checkpoints, newest first, that can be read, and its content; warns about the damaged ones.

    Raises CheckpointError if none can be read."""
    for path, older in pairwise(paths):
        try:
            return path, read_checkpoint(path)
        except CheckpointError as error:
            log.warning("%s So the one before it is used, %s.", str(error).split(" If writing")[0], older.name)
    return paths[-1], read_checkpoint(paths[-1])


def weights_of(content: dict[str, Any]) -> dict[str, Tensor]:
    """The weights of a checkpoint, without those that only its training reads."""
    return {name: value for name, value in content["state_dict"].items() if not name.startswith("error_map.")}


def check_fit(path: Path, state: Mapping[str, Tensor], module: nn.Module, changed: Callable[[], str] = str) -> None:
    """Raises CheckpointError if the parameters of a checkpoint are not those of the module.

    changed: gives the keys that differ from the config of its run; it is called for the message only."""
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
    remedy = "Use the config of its run (config/parsed.yaml beside ckpt/), or leave --config out."
    if told := changed():
        remedy = f"Changed since then: {told}. Leave out what changes the shape, or train anew without --resume."
    raise CheckpointError(f"{path}: belongs to another model: {problem}. {remedy}")


def load_weights(
    path: Path, module: nn.Module, expect: Callable[[Mapping[str, Tensor]], None], changed: Callable[[], str] = str
) -> int:
    """Puts the weights of a checkpoint into a system; returns their step. Raises CheckpointError.

    expect: called with the weights first, to make the parts whose shapes they tell; changed: see `check_fit`."""
    content = read_checkpoint(path)
    weights = weights_of(content)
    expect(weights)
    check_fit(path, weights, module, changed)
    module.load_state_dict(weights)
    return content["global_step"]


def fit_training_state(state: dict[str, Tensor], module: nn.Module) -> None:
    """Makes what a checkpoint knows of the training images fit a module that goes on with the training.

    An error map begins anew if it is new, or if the images have other sizes. Raises CheckpointError if the exposures
    are not those of the same images, the vignettes and responses not those of the same cameras, or the corrections of
    cameras not those of the same poses."""
    own = module.state_dict()
    name = "exposure.affine"
    before, after = (len(weights[name]) if name in weights else None for weights in (state, own))
    if before != after:
        there, here = ("none" if count is None else f"those of {count} images" for count in (before, after))
        raise CheckpointError(
            f"system.exposure: the checkpoint has exposures of {there}, the training {here}. Keep system.exposure and "
            f"the training images as they were, or begin a new run with --resume_weights_only."
        )
    _check_optics(state, own)
    _check_poses(state, own)
    is_map = {name for name in (*state, *own) if name.startswith("error_map.")}
    if any(name not in state or name not in own or state[name].shape != own[name].shape for name in is_map):
        for name in is_map:
            state.pop(name, None)
        state |= {name: own[name] for name in is_map if name in own}


def _check_poses(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Raises CheckpointError if only one of a checkpoint and a module corrects cameras, or both do it for others."""
    there, here = (x.get("poses.given") for x in (state, own))
    if there is None and here is None:
        return
    alike = there is not None and here is not None and there.shape == here.shape
    if not alike or not torch.allclose(there.cpu(), here.cpu(), rtol=0.0, atol=1e-4):
        told = ["none" if cameras is None else f"those of {len(cameras)} cameras" for cameras in (there, here)]
        raise CheckpointError(
            f"system.refine_poses: the checkpoint has corrections of cameras, {told[0]}, for {told[1]} of the "
            f"training, or their poses were others. Keep system.refine_poses and the dataset as they were, or begin a "
            f"new run with --resume_weights_only."
        )


def _check_optics(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Raises CheckpointError if a checkpoint and a module learn something else of cameras, or know other ones."""
    name = "optics.cameras"
    there, here = ({key: value for key, value in x.items() if key.startswith("optics.")} for x in (state, own))
    alike = {key: value.shape for key, value in there.items()} == {key: value.shape for key, value in here.items()}
    if not alike or (there and not torch.allclose(there[name].cpu(), here[name].cpu(), rtol=0.0, atol=0.5)):  # pixels
        raise CheckpointError(
            f"system.vignette, system.response: the checkpoint has {_optics_told(there)}, the training "
            f"{_optics_told(here)}. Keep both keys and the training images as they were, or begin a new run with "
            f"--resume_weights_only."
        )


def _optics_told(optics: Mapping[str, Tensor]) -> str:
    if not optics:
        return "neither"
    learned = " and ".join(part for part in ("vignette", "response") if f"optics.{part}" in optics)
    cameras = optics["optics.cameras"]
    width, height, focal = cameras[0, :3].tolist()
    first = f"the first with {width:.0f} x {height:.0f} pixels and a focal length of {focal:.1f}"
    return f"{learned} of {len(cameras)} {'camera' if len(cameras) == 1 else 'cameras'}, {first}"
