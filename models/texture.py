"""Fields of colour."""

import torch
from torch import Tensor, nn

from models.configs import VolumeRadianceConfig
from utils.errors import ConfigError
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
        self.squash = config.color_activation == "sigmoid"
        self.encoding = build(config.dir_encoding_config, backend)
        self.network = build(config.mlp_network_config, input_dim + self.encoding.output_dim, 3, backend)

    def forward(self, encoded: Tensor, *inputs: Tensor) -> Tensor:
        """rgb (S, 3) float32 of inputs, together (S, input_dim), seen along encoded directions (S, D)."""
        rgb = self.network(torch.cat([*inputs, encoded.to(inputs[0].dtype)], dim=-1)).float()
        return torch.sigmoid(rgb) if self.squash else rgb

    def encode(self, directions: Tensor) -> Tensor:
        """(R, D) of unit directions (R, 3): once a ray, whatever the number of its samples."""
        return self.encoding(directions)
