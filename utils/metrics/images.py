"""LPIPS, the perceptual distance of images (Zhang et al. 2018), where its package and weights are installed."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch

log = logging.getLogger(__name__)
Net = Literal["vgg", "alex"]
_NETS = {"vgg": "VGG16_Weights", "alex": "AlexNet_Weights"}  # as torchvision calls them


def find_lpips(net: Net) -> Callable[[np.ndarray, np.ndarray], float] | None:
    """LPIPS of two images (H, W, 3) float32 in [0, 1]; None, and one line that says why, where something is missing.

    torchmetrics holds the linear layers; the network behind them is torchvision's, and nothing is downloaded."""
    try:
        import torchvision
    except ImportError:
        log.warning("LPIPS is left out: it needs torchvision, in the version that fits torch (pip install torchvision)")
        return None
    url = getattr(torchvision.models, _NETS[net]).IMAGENET1K_V1.url
    weights = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not weights.is_file():
        log.warning("LPIPS is left out: its weights are not there. Download %s as %s", url, weights)
        return None
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    metric = LearnedPerceptualImagePatchSimilarity(net_type=net, normalize=True)

    @torch.no_grad()
    def lpips(prediction: np.ndarray, truth: np.ndarray) -> float:
        pair = [torch.from_numpy(image).permute(2, 0, 1)[None] for image in (prediction, truth)]
        return float(metric(*pair))

    return lpips
