"""Networks by tiny-cuda-nn (https://github.com/NVlabs/tiny-cuda-nn), an optional package, on our own weights.

This module has been tested against a stand-in in plain PyTorch only, never against a build of the package. The weights
stay the parameters, in our layout, so that a checkpoint serves every backend; the first use of a network's shape
compares the package's outputs with the reference.

The package has ReLU networks without biases, and computes in float16, sums too. All other networks are computed as
under backend "auto": those with biases or softplus, those that are to be as exact as float32, all in full precision
(trainer.precision=32), those without a hidden layer, and the head of an SDF. Its gradient would take the package's
double backward pass, which is known to give NaN in half precision."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from models.ops.backends import module
from models.ops.layers import Layers
from models.ops.reference import mlp as reference_mlp
from models.ops.tinycudann.package import Finite, load, refuse_recording, without_parameters
from utils.errors import ConfigError

BLOCK = 16  # the package pads inputs and outputs to multiples of it
FUSED = (16, 32, 64, 128)  # units for which it has a fused kernel
# Mean difference of an output, as a share of its mean size: float16 gives 0.005, weights in another order give 1.
TOLERANCE = 0.05
# Sum of the sizes of all gradients of outputs that enter the package. float16 ends at 65504 and 6e-8: sums over samples
# hold if no unit exceeds 256, and of a million gradients the mean is 2e-4.
TOTAL = 256.0
WAY_OUT = "Change n_neurons and n_hidden_layers of the network, or use model.backend=auto."


def mlp(x: Tensor, layers: Layers, count: Tensor | None = None) -> Tensor:
    """Outputs as in `models.ops.mlp`, float32, padding included; gradients that are not finite are 0.

    Raises ConfigError where the package does not load or computes another network, and while a CUDA graph is
    recorded."""
    if not _fits(layers):
        return module("mlp", "auto", x).mlp(x, layers, count)
    if x.shape[0] == 0:  # the package fails on no rows
        with torch.autocast(x.device.type, enabled=False):
            return reference_mlp.mlp(x.float(), layers)
    refuse_recording(x.device)
    dims = layers.weights[0].shape[1], *(weight.shape[0] for weight in layers.weights)
    out = _network(dims, x.device).outputs(x, layers.weights)
    return torch.sigmoid(out.float()) if layers.squash else out


def sdf_mlp_with_gradient(
    points: Tensor, features: Tensor, jacobian: Tensor, layers: Layers
) -> tuple[Tensor, Tensor, Tensor]:
    """Distance, outputs and gradient as in `models.ops.sdf_mlp_with_gradient`, by backend "auto"."""
    return module("mlp", "auto", features).sdf_mlp_with_gradient(points, features, jacobian, layers)


def _fits(layers: Layers) -> bool:
    """Whether the package has such a network, and its precision is enough."""
    plain = not layers.softplus and all(bias is None for bias in layers.biases)
    return plain and layers.allow_fp16 and not layers.full_fp32 and len(layers.weights) > 1


class _Network:
    """The package's network for one shape on one device, without weights of its own.

    dims: numbers of inputs, of units of each hidden layer, of outputs."""

    def __init__(self, dims: tuple[int, ...], device: torch.device) -> None:
        self.shapes = _shapes(dims)
        self.network = without_parameters(_build(dims, self.shapes), device)
        self.finite = Finite("a network", device)

    def outputs(self, x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """(S, dim_out) float32, of S > 0 rows; differentiable, once, in x and weights."""
        # Zeros behind each row and column: what the package writes into inputs that pad, 0 or 1, has no weight, and
        # units that pad are 0.
        padded = [
            F.pad(weight, (0, columns - weight.shape[1], 0, rows - weight.shape[0])).reshape(-1)
            for weight, (rows, columns) in zip(weights, self.shapes, strict=True)
        ]
        params, inputs = torch.cat(padded), x.float().view_as(x)  # a view: hooks of this call alone
        out = functional_call(self.network, {"params": params}, (inputs,)).float()
        if out.requires_grad:
            scale = _Scale()
            out.register_hook(scale.up)
            for tensor in (params, inputs):
                if tensor.requires_grad:
                    tensor.register_hook(scale.down)
                    tensor.register_hook(self.finite)
        return out


class _Scale:
    """Hooks that bring gradients into the range of float16 where they enter the package, and back where they leave it.

    The package's own loss scale is too late for that: what it multiplies is float16 already."""

    def up(self, gradient: Tensor) -> Tensor:
        """The gradient of the outputs, by row in memory: the package reads it so, whatever the strides."""
        self.factor = TOTAL / gradient.abs().sum().clamp_min(1e-30)
        return (gradient * self.factor).contiguous()

    def down(self, gradient: Tensor) -> Tensor:
        """What `up` led to, without its factor."""
        return gradient / self.factor


@lru_cache(maxsize=16)
def _network(dims: tuple[int, ...], device: torch.device) -> _Network:
    """The network of a shape, compared with the reference. Raises ConfigError where they differ."""
    # A network that is made in a test pass serves training too.
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        network = _Network(dims, device)
        generator = torch.Generator(device).manual_seed(0)
        x = 2.0 * torch.rand(256, dims[0], generator=generator, device=device) - 1.0
        weights = [torch.randn(b, a, generator=generator, device=device) * (2.0 / a) ** 0.5 for a, b in pairwise(dims)]
        expected = reference_mlp.mlp(x, Layers(tuple(weights), (None,) * len(weights), softplus=False))
        try:
            difference = (network.outputs(x, weights) - expected).abs().mean(0) / expected.abs().mean(0)
        except RuntimeError as error:  # too much for the memory of a multiprocessor, for one
            raise ConfigError(_refused(dims, error)) from error
    for index, share in enumerate(difference.tolist()):
        if not share < TOLERANCE:
            raise ConfigError(
                f"model.backend=tinycudann: expected the outputs of the reference, got others in column {index} of a "
                f"network {_named(dims)} (mean difference {share:.2g} of their size): tiny-cuda-nn computes this "
                f"network otherwise. {WAY_OUT}"
            )
    return network


def _shapes(dims: tuple[int, ...]) -> list[tuple[int, int]]:
    """Rows and columns of the package's matrices, first to last; all its hidden layers have the same width."""
    inputs, *hidden, outputs = dims
    sizes = [_padded(inputs), *[_padded(max(hidden))] * len(hidden), _padded(outputs)]
    return [(rows, columns) for columns, rows in pairwise(sizes)]


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _build(dims: tuple[int, ...], shapes: list[tuple[int, int]]) -> nn.Module:
    """The package's network. Raises ConfigError if the package does not load, or has no such network."""
    width = shapes[0][0]
    config = {
        "otype": "FullyFusedMLP" if width in FUSED else "CutlassMLP",
        "activation": "ReLU",
        "output_activation": "None",
        "n_neurons": width,
        "n_hidden_layers": len(shapes) - 1,
    }
    try:
        network = load().Network(dims[0], dims[-1], config)
    except (AttributeError, RuntimeError) as error:  # the former of a build without networks
        raise ConfigError(_refused(dims, error)) from error
    network.loss_scale = 1.0
    expected, found = sum(rows * columns for rows, columns in shapes), network.params.numel()
    if found != expected:
        raise ConfigError(
            f"model.backend=tinycudann: expected {expected} parameters for a network {_named(dims)}, got {found}: "
            f"tiny-cuda-nn lays this network out otherwise. {WAY_OUT}"
        )
    return network


def _refused(dims: tuple[int, ...], error: Exception) -> str:
    return f"model.backend=tinycudann: tiny-cuda-nn refuses a network {_named(dims)}: {error}. {WAY_OUT}"


def _named(dims: tuple[int, ...]) -> str:
    return "-".join(map(str, dims))
