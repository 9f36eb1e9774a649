"""What cameras do to the colours of a scene: a photograph's exposure, a lens's vignette, a camera's response curve."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.base import MIN_OPACITY
from models.photographs.lookup import rows_of
from utils.rays import Photographs, RayBatch

SAME_CAMERA = 0.5  # pixels by which sizes and intrinsics of one camera's photographs differ at most


class Exposure(nn.Module):
    """An affine map of colour per photograph, gain exp(g) and offset b for each channel; g and b are 0 on average.

    Gains multiply sRGB values: its curve is nearly a power of the light, and a power takes factors to factors. URF
    (arXiv:2111.14643, eq. 6) has a gain and an offset per image too; here channels are not mixed."""

    def __init__(self, num_images: int) -> None:
        super().__init__()
        self.affine = nn.Parameter(torch.zeros(num_images, 2, 3))  # log gain and offset

    @classmethod
    def like(cls, state: Mapping[str, Tensor]) -> "Exposure | None":
        """New exposures of as many photographs as those in the state of a system, "exposure.affine"; None without."""
        return cls(len(state["exposure.affine"])) if "exposure.affine" in state else None

    @property
    def centred(self) -> Tensor:
        """(N, 2, 3) log gains and offsets, less their means over all photographs."""
        return self.affine - self.affine.mean(dim=0)

    @property
    def median(self) -> Tensor:
        """(2, 3) the median log gain and offset of each channel, relative to the mean; the middle of an even number."""
        return self.centred.quantile(0.5, dim=0)

    def forward(self, light: Tensor, cover: Tensor, image: Tensor) -> Tensor:
        """(R, 3) colours over black as the photographs image (R,) show them, from those of the mean exposure.

        cover: (R, 1) in [0, 1], the share of a pixel that is exposed."""
        return exposed(light, cover, rows_of(self.centred, image))

    def prior(self) -> Tensor:
        """() the mean squared log gain and offset: what photographs do not determine stays with the mean of all."""
        return self.centred.square().sum(dim=1).mean()


def exposed(light: Tensor, cover: Tensor, affine: Tensor) -> Tensor:
    """(R, 3) colours (R, 3) over black with log gains and offsets (R, 2, 3); cover: see `Exposure.forward`."""
    gain, offset = affine.unbind(dim=-2)
    return light * gain.exp() + cover * offset


@dataclass(frozen=True)
class Frames:
    """Where the pixels of N photographs lie in their frames, and which camera took each."""

    starts: Tensor  # (N,) int64, where an image begins among all pixels
    widths: Tensor  # (N,) int64, pixels
    centres: Tensor  # (N, 2) principal points, pixels
    half_diagonals: Tensor  # (N,) pixels
    cameras: Tensor  # (N,) int64, rows of `Optics.cameras`, or their number for one that is not among them

    def squared_radius(self, pixel: Tensor, image: Tensor) -> Tensor:
        """(R,) squared distance of pixels (R,) of images (R,) from the principal point, in half diagonals of the image:
        1 in the corners of a centred one. The host reads nothing."""
        within, width = pixel - self.starts[image], self.widths[image]
        column_row = torch.stack([within % width, torch.div(within, width, rounding_mode="floor")], dim=-1)
        away = (column_row + 0.5 - self.centres[image]) / self.half_diagonals[image, None]
        return away.square().sum(dim=-1)


class Optics(nn.Module):
    """A vignette and a response curve for each camera, where they are learned; the identity at first.

    Photographs of one size and with the same intrinsics come from one camera. The vignette is the factor
    exp(a r^2 + b r^4 + c r^6), 1 in the centre, as in Goldman (Vignette and Exposure Calibration and Compensation, PAMI
    2010), but of the logarithm, so that it stays positive. The response of a channel is f(x) = x + k x (1 - x) with
    k = tanh(p), |k| < 1, so it rises from 0 to 1; beyond, it goes on straight. It is no power of x, which no set of
    exposures could tell from other gains (Grossberg and Nayar, PAMI 2003)."""

    def __init__(self, cameras: Tensor, vignette: bool, response: bool) -> None:
        """cameras: (C, 6) width, height, fx, fy, cx, cy in pixels, see `cameras_of`."""
        super().__init__()
        self.register_buffer("cameras", cameras)
        self.vignette = nn.Parameter(torch.zeros_like(cameras[:, :3])) if vignette else None  # (C, 3) a, b, c
        self.response = nn.Parameter(torch.zeros_like(cameras[:, :3])) if response else None  # (C, 3) p of a channel

    @classmethod
    def like(cls, state: Mapping[str, Tensor]) -> "Optics | None":
        """New optics for the cameras and parts in the state of a system, "optics.<name>"; None if it has none."""
        if "optics.cameras" not in state:
            return None
        return cls(state["optics.cameras"], "optics.vignette" in state, "optics.response" in state)

    def frames(self, photographs: Photographs, heights: Tensor) -> Frames:
        """The frames of photographs with heights (N,), in training or held out."""
        cameras = nearest_camera(photographs, heights, self.cameras)
        half_diagonals = 0.5 * torch.stack([photographs.widths, heights], dim=-1).to(self.cameras.dtype).norm(dim=-1)
        return Frames(photographs.starts, photographs.widths, photographs.intrinsics[:, 2:], half_diagonals, cameras)

    def forward(self, light: Tensor, cover: Tensor, batch: RayBatch, frames: Frames) -> Tensor:
        """(R, 3) colours over black as the cameras of the batch show them; the identity for one that is unknown.

        light: (R, 3) over black; cover: (R, 1) in [0, 1], the share of a pixel that has this light."""
        camera = frames.cameras[batch.image]
        if self.vignette is not None:
            squared = frames.squared_radius(batch.pixel, batch.image)
            powers = torch.stack([squared, squared.square(), squared.pow(3)], dim=-1)
            light = light * (powers * rows_of(_with_unknown(self.vignette), camera)).sum(dim=-1, keepdim=True).exp()
        if self.response is not None:
            curve = rows_of(_with_unknown(self.response), camera).tanh()
            light = cover * respond(light / cover.clamp(min=MIN_OPACITY), curve)
        return light

    def prior(self) -> Tensor:
        """() the mean squared coefficients of vignettes and of responses, one mean added to the other."""
        return sum(part.square().mean() for part in (self.vignette, self.response) if part is not None)


def respond(x: Tensor, curve: Tensor) -> Tensor:
    """x + k x (1 - x) with the curve k in (-1, 1), of the shape of x; tangents go on below 0 and above 1."""
    inside = x.clamp(0.0, 1.0)
    return x + curve * (inside * (1.0 - inside) + (x - inside) * (1.0 - 2.0 * inside))


def _with_unknown(rows: Tensor) -> Tensor:
    """Rows (C, 3) of the cameras and one of zeros, for any other."""
    return torch.cat([rows, torch.zeros_like(rows[:1])])


def _rows(photographs: Photographs, heights: Tensor) -> Tensor:
    """(N, 6) width, height, fx, fy, cx, cy of photographs with heights (N,)."""
    sizes = torch.stack([photographs.widths, heights], dim=-1).to(photographs.intrinsics.dtype)
    return torch.cat([sizes, photographs.intrinsics], dim=-1)


def nearest_camera(photographs: Photographs, heights: Tensor, cameras: Tensor) -> Tensor:
    """(N,) int64: the row of cameras (C, 6), see `cameras_of`, that took each photograph; C if none of them did."""
    distance, nearest = torch.cdist(_rows(photographs, heights), cameras, p=torch.inf).min(dim=-1)
    return torch.where(distance < SAME_CAMERA, nearest, len(cameras))


def cameras_of(photographs: Photographs, heights: Tensor) -> Tensor:
    """(C, 6) width, height, fx, fy, cx, cy of the cameras that took photographs with heights (N,), in pixels, in the
    order in which they come."""
    rows = _rows(photographs, heights).cpu()
    cameras = rows[:1]
    for row in rows[1:]:
        if ((cameras - row).abs().amax(dim=-1) >= SAME_CAMERA).all():
            cameras = torch.cat([cameras, row[None]])
    return cameras.to(photographs.intrinsics.device)


@dataclass(frozen=True)
class Photometry:
    """What the photographs of a split show of rendered colours."""

    exposure: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None  # an Exposure, or what stands for one
    optics: Optics | None = None
    frames: Frames | None = None  # of the photographs, where there are optics

    def __call__(self, rgb: Tensor, opacity: Tensor, batch: RayBatch) -> Tensor:
        """(R, 3) rendered colours (R, 3) with their opacity (R,), as the photographs of the batch show them.

        If images have a mask, the background was painted in afterwards, so only the foreground is exposed."""
        cover = (torch.ones_like(opacity) if batch.mask is None else opacity)[:, None]
        behind = (1.0 - cover) * batch.background
        light = rgb - behind
        if self.exposure is not None:
            light = self.exposure(light, cover, batch.image)
        if self.optics is not None:
            light = self.optics(light, cover, batch, self.frames)
        return light + behind

    def prior(self) -> Tensor:
        """() the sum of the priors of exposure and optics, in training."""
        return sum(part.prior() for part in (self.exposure, self.optics) if part is not None)


@dataclass(frozen=True)
class AsShown:
    """Colours that leave the program without a photograph of their own, of a mesh and of new views: as a photograph of
    the median exposure shows them, without vignette and response.

    The model is held at the mean exposure, which a few bright photographs make brighter than nearly all others are."""

    exposure: Exposure | None = None
    has_masks: bool = False  # then the background was painted in afterwards, and only the foreground is exposed

    @torch.no_grad()
    def __call__(self, rgb: Tensor, opacity: Tensor | None = None, background: Tensor | None = None) -> Tensor:
        """(R, 3) colours (R, 3) of the model, as they are to be shown; they may leave [0, 1].

        opacity: (R,) and background: (3,) of rays; None: of points on a surface."""
        if self.exposure is None:
            return rgb
        cover = opacity[:, None] if self.has_masks and opacity is not None else torch.ones_like(rgb[:, :1])
        behind = 0.0 if background is None else (1.0 - cover) * background
        return exposed(rgb - behind, cover, self.exposure.median) + behind
