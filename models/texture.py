"""Fields of colour."""

import torch
from torch import Tensor, nn

from models import ops
from models.configs import VolumeRadianceConfig
from utils.errors import ConfigError
from utils.rays import Packed
from utils.registry import build


class VolumeRadiance(nn.Module):
    """Colour from a geometry feature, the viewing direction and optional extra inputs such as the normal."""

    def __init__(self, config: VolumeRadianceConfig, input_dim: int, backend: str = "auto") -> None:
        super().__init__()
        if config.input_feature_dim != input_dim:
            raise ConfigError(
                f"model.texture.input_feature_dim: expected {input_dim} (model.geometry.feature_dim, plus 3 for the "
                f"normal of an SDF), got {config.input_feature_dim}."
            )
        self.backend = backend
        self.squash = config.color_activation == "sigmoid"
        self.encoding = build(config.dir_encoding_config, backend)
        self.network = build(config.mlp_network_config, input_dim + self.encoding.output_dim, 3, backend)

    def forward(self, directions: Tensor, packed: Packed | None, *inputs: Tensor) -> Tensor:
        """rgb (S, 3) float32 of inputs, together (S, input_dim), seen along unit directions.

        directions: (R, 3), one for the samples of each ray; (S, 3) where packed is None."""
        encoded = self.encoding(directions)
        joined = ops.join(inputs, encoded, packed, backend=self.backend)
        rgb = self.network(joined, None if packed is None else packed.count).float()
        return torch.sigmoid(rgb) if self.squash else rgb
