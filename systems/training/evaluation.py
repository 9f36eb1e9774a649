"""Renders views, puts them beside their photographs, and measures PSNR and SSIM."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from models.base import VolumeModel
from models.inference import RaysAt, render_pixels
from models.photographs.photometry import Photometry
from systems.views import Shown, as_rendered
from utils.rays import RayBatch
from utils.visualise import depth_to_rgb, normal_to_rgb, side_by_side


@dataclass(frozen=True)
class RenderedView:
    """One rendered view with its metrics."""

    rgb: np.ndarray  # (H, W, 3) float32 in [0, 1]
    panel: np.ndarray  # (H, W', 3) uint8, pictures of the same size side by side
    shown: tuple[str, ...]  # names of these pictures: truth (of a photograph), rgb, normal (for an SDF), depth
    metrics: dict[str, float]


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
    images = _render(model, rays_at or (lambda shift: batch.rays), batch.background, size, seen)
    truth = batch.rgb.view(height, width, 3).cpu().numpy()
    parts = _parts(images, truth)
    kept = np.ones((height, width), bool) if batch.kept is None else batch.kept.view(height, width).cpu().numpy()
    metrics = image_metrics(np.where(kept[..., None], images["rgb"], truth), truth)
    metrics |= {"psnr": psnr(images["rgb"][kept], truth[kept])} if kept.any() else {}
    if batch.mask is not None:
        inside = kept & (batch.mask.view(height, width).cpu().numpy() > 0.5)
        metrics |= {"psnr_inside": psnr(images["rgb"][inside], truth[inside])} if inside.any() else {}
    return RenderedView(images["rgb"], side_by_side(list(parts.values())), tuple(parts), metrics)


def render_view(
    model: VolumeModel, rays_at: RaysAt, background: Tensor, size: tuple[int, int], shown: Shown = as_rendered
) -> RenderedView:
    """Renders a view without a photograph, size = (W, H), in the colours that `shown` makes of the model's."""
    images = _render(model, rays_at, background, size, partial(shown, background=background))
    parts = _parts(images, None)
    return RenderedView(images["rgb"], side_by_side(list(parts.values())), tuple(parts), {})


def image_metrics(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """psnr in dB and ssim of images (H, W, 3) in [0, 1]; SSIM with the usual Gaussian window of 11 pixels."""
    pair = [torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None] for image in (prediction, truth)]
    ssim = float(structural_similarity_index_measure(*pair, data_range=1.0))
    return {"psnr": psnr(prediction, truth), "ssim": ssim}


def psnr(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of colours (..., 3) in [0, 1]."""
    pair = [torch.from_numpy(np.ascontiguousarray(colors)) for colors in (prediction, truth)]
    return float(peak_signal_noise_ratio(*pair, data_range=1.0))


def _render(
    model: VolumeModel,
    rays_at: RaysAt,
    background: Tensor,
    size: tuple[int, int],
    seen: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> dict[str, np.ndarray]:
    width, height = size
    images = render_pixels(model, rays_at, background)
    if seen is not None:
        with torch.no_grad():
            images["rgb"] = seen(images["rgb"], images["opacity"])
    return {name: image.view(height, width, *image.shape[1:]).cpu().numpy() for name, image in images.items()}


def _parts(images: dict[str, np.ndarray], truth: np.ndarray | None) -> dict[str, np.ndarray]:
    """The pictures of a panel by name."""
    parts = {"truth": truth} if truth is not None else {}
    parts["rgb"] = images["rgb"].clip(0.0, 1.0)
    if "normal" in images:
        parts["normal"] = normal_to_rgb(images["normal"], images["opacity"])
    parts["depth"] = depth_to_rgb(images["depth"], images["opacity"])
    return parts
