"""Small fully connected networks: their parameters, how these start, and the precision they compute in."""

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from models import ops
from models.encodings import HashGrid
from models.network_configs import FullyFusedMLPConfig, VanillaMLPConfig
from utils.rays import RaySamples


class MLP(nn.Module):
    """Linear layers with one activation between them; `sphere_init` starts it as the SDF of a sphere."""

    def __init__(
        self, config: VanillaMLPConfig | FullyFusedMLPConfig, dim_in: int, dim_out: int, backend: str = "auto"
    ) -> None:
        super().__init__()
        self.config, self.backend, self.dim_in = config, backend, dim_in
        self.softplus = config.sphere_init or config.activation == "Softplus"
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
        """Geometric initialisation (SAL, arXiv:1911.10414, theorem 1) that ignores all inputs except the position."""
        last = index == len(self.layers) - 1
        if last:
            nn.init.normal_(layer.weight, math.sqrt(math.pi / layer.in_features), 1e-4)
        else:
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2.0 / layer.out_features))
        with torch.no_grad():
            if index == 0:
                layer.weight[:, 3:] = 0.0
            layer.bias.fill_(-self.config.sphere_init_radius if last else 0.0)

    def forward(self, x: Tensor, count: Tensor | None = None, full_fp32: bool = False, squash: bool = False) -> Tensor:
        """(S, dim_out) of inputs (S, dim_in); rows from `count` () on are padding.

        full_fp32: computes in 32 bits whatever the precision of the training, so that differences between outputs mean
        something. squash: passes the outputs through a logistic function, beside what the config says of them."""
        layers = self.layers_for(x, full_fp32, squash)
        with self._precision(x, full_fp32):
            out = ops.mlp(x, layers, count, backend=self.backend)
            return torch.sigmoid(out) if self.is_squashed and squash else out

    @property
    def is_squashed(self) -> bool:
        """Whether its outputs pass through a logistic function by its own config."""
        return self.config.output_activation.lower() == "sigmoid"

    def sdf(self, points: Tensor, features: Tensor, jacobian: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Output 0 (S,), all outputs (S, dim_out) and the gradient (S, 3) of output 0 with respect to the points; see
        `ops.sdf_mlp_with_gradient`."""
        layers = self.layers_for(features)
        with self._precision(features):
            return ops.sdf_mlp_with_gradient(points, features, jacobian, layers, backend=self.backend)

    def sdf_over_grid(self, points: Tensor, grid: HashGrid, count: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The same over the features of a hash grid; see `ops.encode_sdf`."""
        layers, levels = self.layers_for(points), grid.active_levels
        with self._precision(points):
            return ops.encode_sdf(points, grid.table, grid.spec, layers, levels, count, backend=self.backend)

    def radiance_over_grid(
        self, points: Tensor, grid: HashGrid, heads: ops.RadianceHeads, harmonics: Tensor, packed: RaySamples
    ) -> tuple[Tensor, Tensor]:
        """Opacity (S,) and colour (S, 3), the density being this network's; see `ops.encode_radiance`."""
        spec, levels = grid.spec, grid.active_levels
        with self._precision(points):
            return ops.encode_radiance(points, grid.table, spec, heads, harmonics, packed, levels, backend=self.backend)

    def parameters_as_layers(self, allow_fp16: bool = False, full_fp32: bool = False) -> ops.Layers:
        """The parameters as `ops` takes them, those of weight norm multiplied out."""
        weights, biases = [layer.weight for layer in self.layers], [layer.bias for layer in self.layers]
        return ops.Layers(tuple(weights), tuple(biases), self.softplus, allow_fp16, full_fp32)

    def layers_for(self, x: Tensor, full_fp32: bool = False, squash: bool = False) -> ops.Layers:
        """The same in the precision of the training, on the device of x; full_fp32 and squash as in `forward`."""
        layers = self.parameters_as_layers(torch.is_autocast_enabled(x.device.type) and not full_fp32, full_fp32)
        return replace(layers, squash=self.is_squashed or squash)

    @contextmanager
    def _precision(self, x: Tensor, full_fp32: bool = False) -> Iterator[None]:
        """Autocast as it is around the call, but switched off where the config or the caller asks for full precision.

        full_fp32: switches tf32 off too."""
        enabled = torch.is_autocast_enabled(x.device.type) and not (self.config.full_precision or full_fp32)
        before = torch.get_float32_matmul_precision()
        if full_fp32:
            torch.set_float32_matmul_precision("highest")
        try:
            with torch.autocast(x.device.type, enabled=enabled):
                yield
        finally:
            if full_fp32:
                torch.set_float32_matmul_precision(before)
