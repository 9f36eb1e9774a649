"""What a training learns of its photographs beside the model: exposures, optics, corrections of the cameras."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.photographs.held_out import ExpectedExposure
from models.photographs.photometry import AsShown, Exposure, Optics, Photometry, cameras_of
from models.photographs.poses import CameraCorrections
from systems.training.data import Data, Views
from utils.files import natural_key
from utils.rays import Corrections, Photographs

_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])  # from its axes (y up, z to the viewer) to ours
_CAMERAS = "transforms.json"
log = logging.getLogger(__name__)


def new_parts(config: Any, views: Views) -> dict[str, nn.Module]:
    """Those parts for the training photographs, as they are before the first step."""
    photographs, heights = views.photographs, views.heights
    makers = {
        "exposure": lambda: Exposure(len(views)),
        "optics": lambda: Optics(cameras_of(photographs, heights), config.vignette, config.response),
        "poses": lambda: CameraCorrections.of(photographs, heights),
    }
    return {name: makers[name]() for name in config.learned_parts}


def parts_like(weights: Mapping[str, Tensor]) -> dict[str, nn.Module]:
    """The parts that the weights of a checkpoint are of, for a test pass or an export."""
    makers = {"exposure": Exposure, "optics": Optics, "poses": CameraCorrections}
    found = {name: maker.like(weights) for name, maker in makers.items()}
    return {name: part for name, part in found.items() if part is not None}


def photometry(parts: Mapping[str, nn.Module], views: Views) -> Photometry | None:
    """What the training's photographs show of rendered colours; None: the colours as they are."""
    return _photometry(parts.get("exposure"), parts.get("optics"), views)


def held_out_photometry(
    parts: Mapping[str, nn.Module], data: Data, split: str, device: torch.device
) -> Photometry | None:
    """What the photographs of a split show: those that were held out with the exposure that the training's let one
    expect, in the order of all their names, or with the mean; None: the colours as they are."""
    views, exposure = data.views(split, device), parts.get("exposure")
    if exposure is None or views is (training := data.views("train", device)):
        return photometry(parts, views)
    names, known = views.image_names, training.image_names
    if len(known) != len(exposure.affine) or set(names) & set(known):  # others than it was trained with; no one order
        return _photometry(None, parts.get("optics"), views)
    place = {name: index for index, name in enumerate(sorted([*names, *known], key=natural_key))}
    places = [torch.tensor([place[name] for name in own], device=device) for own in (known, names)]
    return _photometry(ExpectedExposure.between(exposure, *places), parts.get("optics"), views)


def _photometry(exposure: Any, optics: Optics | None, views: Views) -> Photometry | None:
    if optics is None:
        return None if exposure is None else Photometry(exposure)
    return Photometry(exposure, optics, optics.frames(views.photographs, views.heights))


def as_shown(parts: Mapping[str, nn.Module], photograph: np.ndarray) -> AsShown:
    """How colours are shown that have no photograph of their own; all that show some ask here.

    photograph: (H, W, 3|4) uint8, any one, which tells whether photographs have masks."""
    return AsShown(parts.get("exposure"), has_masks=photograph.shape[2] == 4)


def keep_cameras(parts: Mapping[str, nn.Module], data: Data, device: torch.device, save: Path) -> dict[str, Any]:
    """Writes the corrected training cameras into save/transforms.json; what the metrics say of them, {} if none are."""
    if (poses := parts.get("poses")) is None:
        return {}
    found = poses.summary()
    lenses = ", ".join(f"{factor:.5f}" for factor in found["focal_factors"])
    log.info(
        "the training cameras were corrected: medians are %.3f degrees and %.3f %% of their distance from each other; "
        "focal lengths times %s. They are in %s",
        found["turn_degrees"],
        100.0 * found["shift_share"],
        lenses,
        save / _CAMERAS,
    )
    _write_cameras(save / _CAMERAS, data.views("train", device), data.world_from_scene)
    return {"cameras": {**found, "file": _CAMERAS}}


def _write_cameras(path: Path, views: Views, world_from_scene: np.ndarray) -> None:
    """Writes the cameras of views, in the user's coordinates, as a transforms.json of OpenGL cameras.

    world_from_scene: (4, 4) similarity."""
    scale = np.cbrt(np.linalg.det(world_from_scene[:3, :3]))
    frames = []
    for index, name in enumerate(views.image_names):
        camera, matrix = views.camera(index), np.eye(4)
        matrix[:3] = world_from_scene[:3, :3] @ camera.c2w
        matrix[:3, :3] /= scale
        matrix[:3, 3] += world_from_scene[:3, 3]
        lens = dict(zip(("fl_x", "fl_y", "cx", "cy"), camera.intrinsics.tolist(), strict=True))
        size = dict(zip(("w", "h"), camera.size, strict=True))
        frames.append({"file_path": name, **size, **lens, "transform_matrix": (matrix @ _OPENGL).tolist()})
    path.write_text(json.dumps({"frames": frames}, indent=1), encoding="utf-8")


def corrections_of(parts: Mapping[str, nn.Module]) -> Corrections | None:
    """The cameras that were learned, as `Data.correct_cameras` takes them: all of those of the training, of others the
    lenses; None if there are none."""
    poses: CameraCorrections | None = parts.get("poses")
    if poses is None:
        return None

    @torch.no_grad()
    def corrected(photographs: Photographs, heights: Tensor, is_training: bool) -> Photographs:
        if not is_training:
            return poses.others(photographs, heights)
        if poses.fits(photographs):
            return poses.corrected(photographs)
        log.warning(
            "the corrected cameras of the checkpoint are not used: they are of other photographs, or of other cameras, "
            "than the dataset has"
        )
        return photographs

    return corrected
