"""A stand-in for the package tinycudann in plain PyTorch, for tests: none of them has met the package itself.

It has the part of the package's API that is used, and its habits: batches of 256 rows, an error for none, gradients
read row by row whatever their strides and, on demand, gradients that are not finite. Of a grid, other values beyond the
cube. Of a network, float16 throughout, a loss scale that comes after float16, inputs and outputs padded to 16."""

from dataclasses import replace
from importlib.machinery import ModuleSpec
from itertools import pairwise
from types import ModuleType

import torch
from torch import nn

from models.ops import GridSpec
from models.ops.reference import hash as reference_hash

ROWS = 256


class Native(torch.autograd.Function):
    """What the package runs on the GPU."""

    @staticmethod
    def forward(ctx, x, params, part):
        if x.shape[0] == 0 or x.shape[0] % ROWS:
            raise RuntimeError(f"cannot launch {x.shape[0]} rows")
        ctx.save_for_backward(x, params)
        ctx.part = part
        return part.evaluate(x, params)

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient * ctx.part.loss_scale  # keeps the strides
        rows = gradient.as_strided(gradient.shape, (gradient.shape[1], 1))
        asked = ctx.needs_input_grad[:2]
        x, params = (t.detach().requires_grad_(a) for t, a in zip(ctx.saved_tensors, asked, strict=True))
        with torch.enable_grad():
            out = ctx.part.evaluate(x, params)
        found = iter(torch.autograd.grad(out, [t for t in (x, params) if t.requires_grad], rows))
        of_x, of_params = (next(found) / ctx.part.loss_scale if a else None for a in asked)
        if of_params is not None:
            of_params[:3] += of_params.new_tensor(ctx.part.package.spoilt_by)
        return of_x, of_params, None


class Part(nn.Module):
    """A module of the package; `evaluate` is what it computes."""

    def __init__(self, package, num_params: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.package, self.dtype = package, dtype
        self.params = nn.Parameter(torch.ones(num_params))
        self.loss_scale = 128.0 if dtype == torch.float16 else 1.0

    def forward(self, x):
        S = x.shape[0]
        padded = x if S % ROWS == 0 else nn.functional.pad(x, [0, 0, 0, -S % ROWS])
        out = Native.apply(padded.float().contiguous(), self.params.to(self.dtype).contiguous(), self)
        return out[:S, : self.n_output_dims]


class Encoding(Part):
    """The package's hash grid."""

    def __init__(self, package, n_input_dims, encoding_config, dtype=None):
        assert n_input_dims == 3
        assert dtype == torch.float32  # otherwise half precision
        sizes = {k.removeprefix("n_"): v for k, v in encoding_config.items() if k != "otype"}
        if sizes["features_per_level"] not in (1, 2, 4, 8):
            raise RuntimeError("GridEncoding: n_features_per_level must be 1, 2, 4, or 8.")
        spec = GridSpec(sizes.pop("levels"), **sizes)
        if package.growth != 1.0:
            spec = replace(spec, per_level_scale=package.growth * spec.per_level_scale)
        super().__init__(package, spec.num_entries * spec.features_per_level, dtype)
        self.spec, self.n_output_dims = spec, spec.output_dim

    def evaluate(self, points, params):
        table = params.view(-1, self.spec.features_per_level)
        table = table.flip(0) if self.package.other_rows else table
        features = reference_hash.hash_features(points, table, self.spec, None)
        beyond = ((points < 0.0) | (points > 1.0)).any(-1, keepdim=True)
        return torch.where(beyond, features + 1.0, features)


class Network(Part):
    """The package's network; every number between two layers, and every gradient there, is float16."""

    def __init__(self, package, n_input_dims, n_output_dims, network_config):
        package.networks.append(network_config)
        if not package.has_networks:
            raise RuntimeError("tiny-cuda-nn was compiled without networks.")
        width, hidden = network_config["n_neurons"], network_config["n_hidden_layers"]
        if network_config["otype"] == "FullyFusedMLP" and width not in (16, 32, 64, 128):
            raise RuntimeError(f"FullyFusedMLP only supports 16, 32, 64, and 128 neurons, but got {width}.")
        assert (network_config["activation"], network_config["output_activation"]) == ("ReLU", "None")
        padded = [-(-size // package.alignment) * package.alignment for size in (n_input_dims, n_output_dims)]
        sizes = [padded[0], *[width] * hidden, padded[1]]
        super().__init__(package, sum(a * b for a, b in pairwise(sizes)), torch.float16)
        self.sizes, self.n_output_dims = sizes, n_output_dims

    def evaluate(self, x, params):
        if x.shape[1] * self.sizes[1] > self.package.memory:
            raise RuntimeError("FullyFusedMLP: insufficient shared memory available on the GPU.")
        shapes = [(b, a) for a, b in pairwise(self.sizes)]
        matrices = params.float().split([rows * columns for rows, columns in shapes])
        x = nn.functional.pad(x, [0, self.sizes[0] - x.shape[1]], value=self.package.padding).half()
        for index, (matrix, shape) in enumerate(zip(matrices, shapes, strict=True)):
            weight = matrix.view(shape)
            weight = weight.flip(0) if self.package.other_rows else weight
            x = (torch.relu(x) if index else x).float() @ weight.T
            x = x.half()
        return x


class Package(ModuleType):
    """The module `tinycudann`; its fields say what is wrong with it."""

    def __init__(self) -> None:
        super().__init__("tinycudann")
        self.__spec__ = ModuleSpec("tinycudann", None)
        self.other_rows, self.growth, self.spoilt_by = False, 1.0, [0.0, 0.0, 0.0]
        self.has_networks, self.alignment, self.padding, self.memory = True, 16, 1.0, 10**9
        self.networks = []  # what it was asked for

    def Encoding(self, n_input_dims, encoding_config, seed=1337, dtype=None):  # noqa: N802
        return Encoding(self, n_input_dims, encoding_config, dtype)

    def Network(self, n_input_dims, n_output_dims, network_config, seed=1337):  # noqa: N802
        return Network(self, n_input_dims, n_output_dims, network_config)
