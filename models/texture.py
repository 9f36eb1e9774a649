"""Fields of colour, and the light that they are seen in."""

import math
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import ops
from models.configs import GatedRadianceConfig, ReflectedRadianceConfig, VolumeRadianceConfig
from utils.rays import Rays, RaySamples
from utils.registry import build


class VolumeRadiance(nn.Module):
    """Colour from a geometry feature, the viewing direction and optional extra inputs such as the normal."""

    num_own: ClassVar[int] = 0  # inputs of the network beside those given and the encoded direction

    def __init__(self, config: VolumeRadianceConfig, input_dim: int, backend: str = "auto") -> None:
        super().__init__()
        self.backend = backend
        self.squash = config.color_activation == "sigmoid"
        self.encoding = build(config.dir_encoding_config, backend)
        inputs = input_dim + self.num_own + self.encoding.output_dim
        self.network = build(config.mlp_network_config, inputs, 3, backend)

    def forward(self, directions: Tensor, packed: RaySamples | None, *inputs: Tensor) -> Tensor:
        """rgb (S, 3) float32 of inputs, together (S, input_dim), seen along unit directions.

        directions: (R, 3), one for the samples of each ray; (S, 3) where packed is None."""
        columns = self._network_inputs(directions, packed, inputs)
        return self.network(columns, None if packed is None else packed.num_samples, squash=self.squash).float()

    def head(self, x: Tensor) -> ops.Layers:
        """The network as `ops` takes it, in the precision of the training, on the device of x."""
        return self.network.layers_for(x, squash=self.squash)

    def _network_inputs(self, directions: Tensor, packed: RaySamples | None, inputs: tuple[Tensor, ...]) -> Tensor:
        """(S, K) the inputs of the network."""
        return ops.concat_columns(inputs, self.encoding(directions), packed, backend=self.backend)


class ReflectedRadiance(VolumeRadiance):
    """Colour from a geometry feature, the normal, the direction in which the view is reflected there, and the cosine
    between view and normal, by which a surface may shine at its rim (Ref-NeRF, arXiv:2112.03907, section 3.1).

    A mirror-like surface under distant light has one colour per reflected direction, at any point and from any view.
    The last input is the unit normal (S, 3); colours are differentiable in it, through the reflected direction too.
    The finest harmonics change fastest with the normal: a lobe of some roughness keeps their noise from bending it."""

    num_own = 1

    def __init__(self, config: ReflectedRadianceConfig, input_dim: int, backend: str = "auto") -> None:
        super().__init__(config, input_dim, backend)
        self.mirror = ops.MirrorSpec(self.encoding.degree, config.roughness)

    def _network_inputs(self, directions: Tensor, packed: RaySamples | None, inputs: tuple[Tensor, ...]) -> Tensor:
        feature, normal = inputs
        return ops.reflected_columns(feature, normal, directions, packed, self.mirror, backend=self.backend)


class GatedRadiance(ReflectedRadiance):
    """As ReflectedRadiance, but each point has a learned share g in [0, 1] of the reflected direction, by which its
    harmonics and those of the direction to the camera are mixed: (1 - g) Y(v) + g Y(r). UniSDF (arXiv:2312.13285) mixes
    the colours of two networks by such a weight; here one network reads what is mixed.

    Where nothing mirrors g may fall to 0: colours are then those of VolumeRadiance, and no noise of the reflection
    reaches the normal. g is the last geometry feature, which the network does not read as such, so it has as many
    inputs as that of VolumeRadiance, and any material of a scene may have its own."""

    num_own = 0  # the cosine takes the place of the share

    def __init__(self, config: GatedRadianceConfig, input_dim: int, backend: str = "auto") -> None:
        super().__init__(config, input_dim, backend)
        share = config.reflected_at_start
        self.mirror = replace(self.mirror, offset=math.log(share / (1.0 - share)))


class Lighting(nn.Module):
    """What colours are to be seen in, for photographs of an object that was moved while the lamps stood still.

    An object that turns before a camera at rest sees lamp and camera go around it together. In a frame that goes with
    them shading is a function of normal and direction again, as it is in the scene's frame for a camera that moves.
    Photographs between which the object was put down otherwise are lit differently in ways that no turn describes: each
    such lighting adds a learned vector to the geometry feature (NeRF-W, arXiv:2008.02268, section 4.1, has one for each
    photograph)."""

    def __init__(self, num: int, feature_dim: int) -> None:
        """num: of lightings, >= 1; with one, there is no vector to learn."""
        super().__init__()
        self.register_buffer("axes", torch.zeros(num, 3))
        self.codes = nn.Parameter(torch.zeros(num, feature_dim)) if num > 1 else None

    def __len__(self) -> int:
        return len(self.axes)

    def forward(
        self, rays: Rays, packed: RaySamples | None, feature: Tensor, normal: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Directions (R, 3), features (S, F) and unit normals (S, 3) as a colour network is to read them.

        packed: None if each ray is one sample. Differentiable in features, normals and the vectors."""
        number = torch.zeros_like(rays.near, dtype=torch.int64) if rays.lighting is None else rays.lighting
        frames = turned_frames(rays.directions.detach(), self.axes[number])  # of the light, which moves no camera
        directions = (frames * rays.directions[:, None, :]).sum(-1)
        if packed is not None:
            frames, number = frames[packed.ray_indices], number[packed.ray_indices]
        if self.codes is not None:  # as a product: the gradient of a look-up would add all samples to few rows
            which = number[:, None] == torch.arange(len(self), device=number.device)
            feature = feature + which.to(feature.dtype) @ self.codes
        return directions, feature, (frames * normal[:, None, :]).sum(-1)


def turned_frames(directions: Tensor, axes: Tensor) -> Tensor:
    """(R, 3, 3) rotations from the scene into frames that go around an axis with the camera: their rows are the
    direction to the camera, as far as it is across the axis, the one across both, and the axis.

    directions: (R, 3), unit length, of rays; axes: (R, 3), unit length, or 0 for lamps that stand still in the scene,
    which gives the identity. Along the axis itself no direction is across it: rows vanish."""
    across = (directions * axes).sum(-1, keepdim=True) * axes - directions
    towards = F.normalize(across, dim=-1, eps=1e-6)
    turned = torch.stack([towards, torch.linalg.cross(axes, towards), axes], dim=1)
    still = (axes == 0.0).all(-1)[:, None, None]
    return torch.where(still, torch.eye(3, dtype=turned.dtype, device=turned.device), turned)
