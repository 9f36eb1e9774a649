"""What one photograph's exposure and white balance do to the colours of a scene."""

import torch
from torch import Tensor, nn

from models.base import RenderOutput
from utils.rays import RayBatch


class Exposure(nn.Module):
    """An affine map of colour per photograph, gain exp(g) and offset b for each channel, the identity on average.

    Views that belong to no photograph are rendered without it, with the mean exposure. URF (arXiv:2111.14643, eq. 6)
    has a gain and an offset per image too; here channels are not mixed."""

    def __init__(self, num_images: int) -> None:
        super().__init__()
        self.affine = nn.Parameter(torch.zeros(num_images, 2, 3))  # log gain and offset

    def forward(self, out: RenderOutput, batch: RayBatch) -> Tensor:
        """(R, 3) the colours of rays as their photographs show them.

        If images have a mask, the background was painted in afterwards, so only the foreground is exposed."""
        gain, offset = (self.affine - self.affine.mean(dim=0))[batch.image].unbind(dim=1)
        if batch.mask is None:
            return out.rgb * gain.exp() + offset
        opacity = out.opacity[:, None]
        behind = (1.0 - opacity) * batch.background
        return (out.rgb - behind) * gain.exp() + opacity * offset + behind
