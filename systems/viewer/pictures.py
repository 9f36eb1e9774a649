"""Pictures of the model from a visitor's camera, rendered like validation views at any size."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from models.base import VolumeModel
from models.inference import render_rays
from systems.report.pictures import error_image
from systems.viewer.photos import ViewerScene, nearest_view, sample_photo
from systems.viewer.requests import CameraState, CropBox, PictureKind
from systems.views import Shown, as_rendered
from utils.cameras import pixel_rays
from utils.rays import Rays
from utils.visualise import depth_to_rgb, normal_to_rgb, to_uint8

RAYS_PER_PART = {"cpu": 4096, "cuda": 2**18}  # rendered before `keep_going` is asked again
DARK_PAGE = 20  # of 255, grey: what viser shows behind a scene on a dark page
EMPTY_DEPTH = 1e4  # depth of a mostly transparent pixel: behind all that the page draws


@dataclass(frozen=True)
class RenderedPicture:
    """One picture for one visitor."""

    image: np.ndarray  # (H, W, 3) uint8
    depth: np.ndarray  # (H, W) float32, scene units along the viewing axis; EMPTY_DEPTH where nothing is hit
    compared_with: int | None = None  # index of the photograph that the error is against
    seconds: float = 0.0  # that rendering took

    def behind(self) -> "RenderedPicture":
        """The same, behind all that the page draws."""
        return replace(self, depth=np.full_like(self.depth, EMPTY_DEPTH))

    @property
    def described(self) -> str:
        """Its size, and how fast it was rendered."""
        height, width = self.image.shape[:2]
        rate = width * height / max(self.seconds, 1e-6)
        unit, name = next((unit for unit in ((1e6, " M"), (1e3, " k")) if rate >= unit[0]), (1.0, ""))
        return f"{width} × {height}, {rate / unit:.3g}{name} rays/s"


def render_picture(
    model: VolumeModel,
    background: Tensor,
    scene: ViewerScene,
    camera: CameraState,
    picture: PictureKind,
    size: tuple[int, int],
    box: CropBox | None = None,
    keep_going: Callable[[], bool] = lambda: True,
    shown: Shown = as_rendered,
    dark: bool = False,
) -> RenderedPicture | None:
    """A picture of any kind, size = (width, height) in pixels, that fills a visitor's window.

    background: (3,) on the model's device; box: only what lies inside is rendered; keep_going: called several times a
    second, once it returns False the result is None; shown: makes of the model's colours those of the picture, except
    for the error, which is that of the mean exposure as in the report; dark: what is empty is as dark as a dark page,
    except in the error. A density has no normals, so its colours are shown instead. Draws no random numbers and does
    not change the model."""
    width, height = size
    dark = dark and picture != "error"
    if dark:
        background = torch.full_like(background, DARK_PAGE / 255.0)
    rays = camera_rays(camera, size, scene.far, background)
    images = _render(model, clip_to_box(rays, box) if box else rays, background, keep_going)
    if images is None:
        return None
    if picture != "error":
        images["rgb"] = shown(images["rgb"], images["opacity"], background)
    images = {name: image.view(height, width, *image.shape[1:]).cpu().numpy() for name, image in images.items()}
    solid = images["opacity"] > 0.5
    forward = torch.as_tensor(camera.c2w[:, 2], dtype=torch.float32, device=background.device)
    axial = (rays.directions @ forward).view(height, width).cpu().numpy()
    depth = np.where(solid, images["depth"] * axial, EMPTY_DEPTH).astype(np.float32)
    if picture == "depth" or (picture == "normal" and "normal" in images):
        image = (depth_to_rgb if picture == "depth" else normal_to_rgb)(images[picture], images["opacity"])
        return RenderedPicture(_darkened(image, images["opacity"]) if dark else image, depth)
    rgb = to_uint8(images["rgb"])
    if picture != "error":
        return RenderedPicture(rgb, depth)
    index = nearest_view(scene, camera)
    points = rays.origins + rays.directions * torch.from_numpy(images["depth"]).to(rays.near.device).view(-1, 1)
    photo, inside = sample_photo(scene, index, points.cpu().numpy(), width, background.cpu().numpy())
    known = inside.reshape(height, width) & solid
    return RenderedPicture(
        np.where(known[..., None], error_image(photo.reshape(rgb.shape), rgb), 255).astype(np.uint8), depth, index
    )


def _darkened(image: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: a picture over white, over a dark page instead; opacity: (H, W) in [0, 1]."""
    white = (1.0 - opacity[..., None]) * (255.0 - DARK_PAGE)
    return (image - white).round().clip(0.0, 255.0).astype(np.uint8)


def camera_rays(camera: CameraState, size: tuple[int, int], far: float, like: Tensor) -> Rays:
    """Rays of all pixels of a picture, row by row, on the device of the tensor `like`."""
    pixel = torch.arange(size[0] * size[1], device=like.device)
    c2w = torch.as_tensor(camera.c2w, dtype=torch.float32, device=like.device)
    intrinsics = torch.from_numpy(camera.intrinsics(size)).to(like.device)
    return pixel_rays(pixel % size[0], pixel // size[0], c2w, intrinsics, 0.0, far)


def clip_to_box(rays: Rays, box: CropBox) -> Rays:
    """The rays between where they enter and leave a box; near >= far for rays that miss it."""
    low, high = (rays.origins.new_tensor(corner) for corner in (box.low, box.high))
    # A ray parallel to a face divides by zero; min and max handle the infinities of either sign.
    first, second = ((corner - rays.origins) / rays.directions for corner in (low, high))
    near = torch.minimum(first, second).nan_to_num(nan=-torch.inf).amax(dim=1).clamp(min=0.0)
    far = torch.maximum(first, second).nan_to_num(nan=torch.inf).amin(dim=1)
    return replace(rays, near=torch.maximum(rays.near, near), far=torch.minimum(rays.far, far))


def _render(
    model: VolumeModel, rays: Rays, background: Tensor, keep_going: Callable[[], bool]
) -> dict[str, Tensor] | None:
    """What `render_rays` returns, with the background where rays miss the box; None if keep_going returned False."""
    hit = rays.near < rays.far
    part = rays[hit]
    size, parts = RAYS_PER_PART[rays.near.device.type], []
    for start in range(0, max(len(part), 1), size):
        if not keep_going():
            return None
        parts.append(render_rays(model, part[start : start + size], background))
    whole = {name: image.new_zeros(len(rays), *image.shape[1:]) for name, image in parts[0].items()}
    whole["rgb"][:] = background
    for name, image in whole.items():
        image[hit] = torch.cat([rendered[name] for rendered in parts])
    return whole
