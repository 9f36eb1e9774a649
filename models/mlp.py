"""Small fully connected networks, with the gradient of one output by the inputs in closed form."""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.configs import FullyFusedMLPConfig, VanillaMLPConfig

SOFTPLUS_BETA = 100.0


class MLP(nn.Module):
    """Linear layers with one activation between them; `sphere_init` starts it as the SDF of a sphere."""

    def __init__(self, config: VanillaMLPConfig | FullyFusedMLPConfig, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.config = config
        self.smooth = config.sphere_init or config.activation == "Softplus"
        dims = [dim_in] + [config.n_neurons] * config.n_hidden_layers + [dim_out]
        pairs = list(itertools.pairwise(dims))
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=config.bias) for a, b in pairs)
        for index, layer in enumerate(self.layers):
            self._init_sphere(layer, index) if config.sphere_init else nn.init.kaiming_uniform_(
                layer.weight, a=math.sqrt(3.0)
            )
            if config.weight_norm:
                nn.utils.parametrizations.weight_norm(layer)

    def _init_sphere(self, layer: nn.Linear, index: int) -> None:
        """Geometric initialisation (SAL, arXiv:1911.10414, theorem 1) that ignores all inputs but the position."""
        last = index == len(self.layers) - 1
        if last:
            nn.init.normal_(layer.weight, math.sqrt(math.pi / layer.in_features), 1e-4)
        else:
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2.0 / layer.out_features))
        with torch.no_grad():
            if index == 0:
                layer.weight[:, 3:] = 0.0
            layer.bias.fill_(-self.config.sphere_init_radius if last else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """(S, dim_out) of inputs (S, dim_in)."""
        with self._precision(x):
            for layer in self.layers[:-1]:
                pre = layer(x)
                x = F.softplus(pre, SOFTPLUS_BETA) if self.smooth else F.relu(pre)
            return self._activate_output(self.layers[-1](x))

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(S, dim_out), and the gradient (S, dim_in) of output 0 by the inputs.

        The gradient is an expression of first-order operations, so that one backward pass differentiates it too."""
        with self._precision(x):
            weights, slopes = [layer.weight for layer in self.layers], []
            for layer, weight in zip(self.layers[:-1], weights[:-1], strict=True):
                pre = F.linear(x, weight, layer.bias)
                if self.smooth:
                    x, slope = F.softplus(pre, SOFTPLUS_BETA), torch.sigmoid(SOFTPLUS_BETA * pre)
                else:
                    x, slope = F.relu(pre), (pre > 0).to(pre.dtype)
                slopes.append(slope)
            value = F.linear(x, weights[-1], self.layers[-1].bias)
            gradient = weights[-1][0]
            for slope, weight in zip(reversed(slopes), reversed(weights[:-1]), strict=True):
                gradient = (gradient * slope) @ weight
            return value, gradient

    def _precision(self, x: Tensor) -> torch.autocast:
        """Full precision where the config asks for it, otherwise whatever surrounds the call."""
        enabled = torch.is_autocast_enabled(x.device.type) and not self.config.full_precision
        return torch.autocast(x.device.type, enabled=enabled)

    def _activate_output(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x) if self.config.output_activation.lower() == "sigmoid" else x
