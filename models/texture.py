"""Fields of colour."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from models import ops
from models.configs import ReflectedRadianceConfig, VolumeRadianceConfig
from utils.rays import RaySamples
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
        rgb = self.network(columns, None if packed is None else packed.num_samples).float()
        return torch.sigmoid(rgb) if self.squash else rgb

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
        self.lobe = self.encoding.degree, config.roughness

    def _network_inputs(self, directions: Tensor, packed: RaySamples | None, inputs: tuple[Tensor, ...]) -> Tensor:
        mirrored = ops.reflected_harmonics(directions, inputs[-1], packed, *self.lobe, backend=self.backend)
        return ops.concat_columns((*inputs, mirrored), None, packed, backend=self.backend)
