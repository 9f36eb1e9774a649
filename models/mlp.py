"""Small fully connected networks: their parameters, how these start, and the precision they compute in."""

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from models import ops
from models.network_configs import FullyFusedMLPConfig, VanillaMLPConfig


class MLP(nn.Module):
    """Linear layers with one activation between them; `sphere_init` starts it as the SDF of a sphere."""

    def __init__(
        self, config: VanillaMLPConfig | FullyFusedMLPConfig, dim_in: int, dim_out: int, backend: str = "auto"
    ) -> None:
        super().__init__()
        self.config, self.backend = config, backend
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

    def forward(self, x: Tensor, count: Tensor | None = None, exact: bool = False) -> Tensor:
        """(S, dim_out) of inputs (S, dim_in); rows from `count` () on are padding.

        exact: whatever the precision, output 0 is computed in 32 bits, so that differences of it mean something."""
        layers = self._layers(x, exact)
        with self._precision(x, exact):
            return self._activate_output(ops.mlp(x, layers, count, backend=self.backend))

    def sdf(self, points: Tensor, features: Tensor, jacobian: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Output 0 (S,), all outputs (S, dim_out), the gradient (S, 3) of output 0 by points; see `ops.sdf_head`."""
        layers = self._layers(features)
        with self._precision(features):
            return ops.sdf_mlp_with_gradient(points, features, jacobian, layers, backend=self.backend)

    def _layers(self, x: Tensor, exact: bool = False) -> ops.Layers:
        weights, biases = [layer.weight for layer in self.layers], [layer.bias for layer in self.layers]
        half = torch.is_autocast_enabled(x.device.type) and not exact
        return ops.Layers(tuple(weights), tuple(biases), self.smooth, half, exact)

    @contextmanager
    def _precision(self, x: Tensor, exact: bool = False) -> Iterator[None]:
        """Full precision where the config asks for it, otherwise whatever surrounds the call; exact: tf32 neither."""
        enabled = torch.is_autocast_enabled(x.device.type) and not (self.config.full_precision or exact)
        before = torch.get_float32_matmul_precision()
        if exact:
            torch.set_float32_matmul_precision("highest")
        try:
            with torch.autocast(x.device.type, enabled=enabled):
                yield
        finally:
            if exact:
                torch.set_float32_matmul_precision(before)

    def _activate_output(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x) if self.config.output_activation.lower() == "sigmoid" else x
