"""What a visitor's camera sees of the model: rendered as a validation view is, in the size that there is time for."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.base import VolumeModel
from models.inference import render_rays
from systems.report.pictures import error_map
from systems.viewer.photos import Photographed, nearest, seen_in
from systems.viewer.wishes import Box, Picture, Sight
from utils.cameras import pixel_rays
from utils.rays import Rays
from utils.visualise import depth_to_rgb, normal_to_rgb, to_uint8

RAYS = {"cpu": 4096, "cuda": 2**18}  # rendered between two questions whether to go on
EMPTY = 1e4  # depth of a pixel through which more shines than not: behind all that the page draws


@dataclass(frozen=True)
class Seen:
    """One picture for one visitor."""

    image: np.ndarray  # (H, W, 3) uint8
    depth: np.ndarray  # (H, W) float32, scene units along the viewing axis; EMPTY where nothing is hit
    compared_with: int | None = None  # the photograph that the error is against


def render_sight(
    model: VolumeModel,
    background: Tensor,
    scene: Photographed,
    sight: Sight,
    picture: Picture,
    size: tuple[int, int],
    box: Box | None = None,
    go_on: Callable[[], bool] = lambda: True,
) -> Seen | None:
    """The picture of a kind, other than "none", and size = (width, height) that fills the window of a visitor.

    background: (3,) on the model's device; box: what lies outside of it is left out; go_on: asked several times a
    second, None is returned when it says no. A density has no normals: its colours are shown in their place. Draws no
    random numbers and changes nothing in the model."""
    width, height = size
    rays = sight_rays(sight, size, scene.far, background)
    images = _render(model, cut_to_box(rays, box) if box else rays, background, go_on)
    if images is None:
        return None
    images = {name: image.view(height, width, *image.shape[1:]).cpu().numpy() for name, image in images.items()}
    solid = images["opacity"] > 0.5
    forward = torch.as_tensor(sight.c2w[:, 2], dtype=torch.float32, device=background.device)
    axial = (rays.directions @ forward).view(height, width).cpu().numpy()
    depth = np.where(solid, images["depth"] * axial, EMPTY).astype(np.float32)
    if picture == "normal" and "normal" in images:
        return Seen(normal_to_rgb(images["normal"], images["opacity"]), depth)
    if picture == "depth":
        return Seen(depth_to_rgb(images["depth"], images["opacity"]), depth)
    rgb = to_uint8(images["rgb"])
    if picture != "error":
        return Seen(rgb, depth)
    index = nearest(scene, sight)
    points = rays.origins + rays.directions * torch.from_numpy(images["depth"]).to(rays.near.device).view(-1, 1)
    photo, inside = seen_in(scene, index, points.cpu().numpy(), width, background.cpu().numpy())
    known = inside.reshape(height, width) & solid
    return Seen(
        np.where(known[..., None], error_map(photo.reshape(rgb.shape), rgb), 255).astype(np.uint8), depth, index
    )


def sight_rays(sight: Sight, size: tuple[int, int], far: float, like: Tensor) -> Rays:
    """Rays of all pixels of a picture, row by row, on the device of a tensor."""
    pixel = torch.arange(size[0] * size[1], device=like.device)
    camera = torch.as_tensor(sight.c2w, dtype=torch.float32, device=like.device)
    intrinsics = torch.from_numpy(sight.intrinsics(size)).to(like.device)
    return pixel_rays(pixel % size[0], pixel // size[0], camera, intrinsics, 0.0, far)


def cut_to_box(rays: Rays, box: Box) -> Rays:
    """The rays from where they enter a box to where they leave it; near >= far where they miss it."""
    low, high = (rays.origins.new_tensor(corner) for corner in (box.low, box.high))
    # A ray along a face divides by zero: infinite of either sign, which min and max put right.
    first, second = ((corner - rays.origins) / rays.directions for corner in (low, high))
    near = torch.minimum(first, second).nan_to_num(nan=-torch.inf).amax(dim=1).clamp(min=0.0)
    far = torch.maximum(first, second).nan_to_num(nan=torch.inf).amin(dim=1)
    return Rays(rays.origins, rays.directions, torch.maximum(rays.near, near), torch.minimum(rays.far, far))


def _render(model: VolumeModel, rays: Rays, background: Tensor, go_on: Callable[[], bool]) -> dict[str, Tensor] | None:
    """What `render_rays` returns, with the background where rays are empty; None when it was interrupted."""
    hit = rays.near < rays.far
    part = Rays(rays.origins[hit], rays.directions[hit], rays.near[hit], rays.far[hit])
    size, parts = RAYS[rays.near.device.type], []
    for start in range(0, max(len(part), 1), size):
        if not go_on():
            return None
        parts.append(render_rays(model, part[start : start + size], background))
    whole = {name: image.new_zeros(len(rays), *image.shape[1:]) for name, image in parts[0].items()}
    whole["rgb"][:] = background
    for name, image in whole.items():
        image[hit] = torch.cat([found[name] for found in parts])
    return whole
