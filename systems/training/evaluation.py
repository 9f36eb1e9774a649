"""Renders views, puts them beside their photographs, and measures PSNR and SSIM."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from models.base import VolumeModel
from models.inference import RaysAt, render_pixels, render_rays
from models.photographs.photometry import Photometry
from systems.views import Shown, as_rendered
from utils.memory import pinned_empty
from utils.rays import RayBatch, Rays
from utils.visualise import depth_to_rgb, normal_to_rgb, side_by_side


@dataclass(frozen=True)
class RenderedView:
    """One rendered view with its metrics."""

    images: dict[str, np.ndarray]  # (H, W, ...) float32 by name: rgb in [0, 1], opacity, depth and, for an SDF, normal
    truth: np.ndarray | None  # (H, W, 3) float32 in [0, 1], the photograph; None without one
    metrics: dict[str, float]

    @property
    def rgb(self) -> np.ndarray:
        """(H, W, 3) float32 in [0, 1]."""
        return self.images["rgb"]

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of the pictures of `panel`: truth (of a photograph), rgb, normal (for an SDF), depth."""
        known = {"truth": self.truth is not None, "rgb": True, "normal": "normal" in self.images, "depth": True}
        return tuple(name for name, is_known in known.items() if is_known)

    @property
    def sharpness(self) -> float | None:
        """Mean gradient of the rendering by that of the photograph, both smoothed over a pixel, which noise is lost in;
        None without a photograph, or for one without any gradient."""
        if self.truth is None:
            return None
        own, true = (_mean_gradient(image) for image in (self.rgb, self.truth))
        return own / true if true > 1e-6 else None

    @property
    def panel(self) -> np.ndarray:
        """(H, W', 3) uint8, pictures of the same size side by side; computed when it is asked for."""
        images, opacity = self.images, self.images["opacity"]
        pictures = {
            "truth": lambda: self.truth,
            "rgb": lambda: images["rgb"].clip(0.0, 1.0),
            "normal": lambda: normal_to_rgb(images["normal"], opacity),
            "depth": lambda: depth_to_rgb(images["depth"], opacity),
        }
        return side_by_side([pictures[name]() for name in self.shown])


def evaluate_view(
    model: VolumeModel,
    batch: RayBatch,
    size: tuple[int, int],
    rays_at: RaysAt | None = None,
    photometry: Photometry | None = None,
) -> RenderedView:
    """Renders all pixels of a photograph, size = (W, H), and compares them with it; where it has a mask, psnr_inside is
    that of the object's pixels alone. Pixels that are not to be looked at count as equal, and not in psnr.

    rays_at: the rays at a shift from the pixel centres, for models that render several rays per pixel. photometry: what
    its camera does to the colours."""
    width, height = size
    seen = None if photometry is None else partial(photometry, batch=batch)
    images = _render(model, rays_at or (lambda pixel, shift: batch.rays), batch.background, size, seen)
    rgb, truth = images["rgb"].float(), batch.rgb.view(height, width, 3)
    kept = torch.ones_like(truth[..., 0], dtype=torch.bool) if batch.kept is None else batch.kept.view(height, width)
    metrics = image_metrics(torch.where(kept[..., None], rgb, truth), truth)
    metrics |= {"psnr": psnr(rgb[kept], truth[kept])} if kept.any() else {}
    if batch.mask is not None:
        inside = kept & (batch.mask.view(height, width) > 0.5)
        metrics |= {"psnr_inside": psnr(rgb[inside], truth[inside])} if inside.any() else {}
    return RenderedView(_on_host(images), truth.cpu().numpy(), metrics)


def render_view(
    model: VolumeModel, rays_at: RaysAt, background: Tensor, size: tuple[int, int], shown: Shown = as_rendered
) -> RenderedView:
    """Renders a view without a photograph, size = (W, H), in the colours that `shown` makes of the model's."""
    images = _render(model, rays_at, background, size, partial(shown, background=background))
    return RenderedView(_on_host(images), None, {})


def render_views(
    model: VolumeModel, rays: Sequence[Rays], background: Tensor, size: tuple[int, int], shown: Shown = as_rendered
) -> list[RenderedView]:
    """As `render_view`, of several views of a size = (W, H), from a ray for each of their pixels, row by row."""
    images = render_rays(model, Rays.joined(rays), background)
    with torch.no_grad():
        images["rgb"] = shown(images["rgb"], images["opacity"], background=background)
    shape = len(rays), size[1], size[0]
    stacks = _on_host({name: image.view(*shape, *image.shape[1:]) for name, image in images.items()})
    return [RenderedView({name: stack[i] for name, stack in stacks.items()}, None, {}) for i in range(len(rays))]


def image_metrics(prediction: Tensor, truth: Tensor) -> dict[str, float]:
    """psnr in dB and ssim of images (H, W, 3) in [0, 1]; SSIM with the usual Gaussian window of 11 pixels."""
    pair = [image.permute(2, 0, 1)[None] for image in (prediction, truth)]
    if prediction.device.type == "cuda":  # whose convolutions round floats to 10 bits, and variances are differences
        pair = [image.double() for image in pair]
    ssim = float(structural_similarity_index_measure(*pair, data_range=1.0))
    return {"psnr": psnr(prediction, truth), "ssim": ssim}


def psnr(prediction: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of colours (..., 3) in [0, 1]."""
    return float(peak_signal_noise_ratio(prediction, truth, data_range=1.0))


def _render(
    model: VolumeModel,
    rays_at: RaysAt,
    background: Tensor,
    size: tuple[int, int],
    seen: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> dict[str, Tensor]:
    """Images (H, W, ...) by name, on the device; seen: makes the colours of the view of those of the model."""
    width, height = size
    images = render_pixels(model, rays_at, background, size)
    if seen is not None:
        with torch.no_grad():
            images["rgb"] = seen(images["rgb"], images["opacity"])
    return {name: image.view(height, width, *image.shape[1:]) for name, image in images.items()}


def _mean_gradient(image: np.ndarray) -> float:
    smooth = cv2.GaussianBlur(image.astype(np.float32).mean(axis=-1), (0, 0), 1.0)
    return float(sum(np.abs(np.diff(smooth, axis=axis)).mean() for axis in (0, 1) if smooth.shape[axis] > 1))


def _on_host(images: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """From a GPU into memory that it writes itself, which is several times as fast; torch takes such memory again."""
    if next(iter(images.values())).device.type != "cuda":
        return {name: image.numpy() for name, image in images.items()}
    there = {name: pinned_empty(*image.shape, dtype=image.dtype) for name, image in images.items()}
    return {name: place.copy_(images[name]).numpy() for name, place in there.items()}
