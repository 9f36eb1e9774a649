"""Says once, on a GPU, which settings keep a model from the fused kernels: such a run is many times slower."""

import logging
from collections.abc import Iterator
from functools import cache

from torch import nn

from models import ops
from models.base import VolumeModel
from models.geometry import VolumeDensity, VolumeSDF
from models.mlp import MLP
from models.ops import fused

log = logging.getLogger(__name__)


def warn_of_slow_networks(model: VolumeModel) -> None:
    """Logs one warning where Triton's kernels serve this model's device, but not all of its networks.

    Call it once the model lies on its device. Under backend "tinycudann" that package computes what it can."""
    backend = model.config.backend
    if backend == "tinycudann" or not ops.uses_triton(backend, next(model.parameters())):
        return
    settings = list(unsupported_settings(model))
    if settings:
        _warn(
            "The fused GPU kernels do not support these settings, so plain PyTorch computes that part many times "
            f"slower: {'; '.join(settings)}."
        )


@cache  # so a training that starts again after an error does not repeat it
def _warn(message: str) -> None:
    log.warning(message)


def unsupported_settings(model: VolumeModel) -> Iterator[str]:
    """Each setting that the fused kernels do not support: its key, its value, and the values that fit."""
    parts = {"model": model} if model.background is None else {"model": model, "model.background": model.background}
    for where, part in parts.items():
        yield from _of_geometry(part.geometry, f"{where}.geometry")
        network = getattr(getattr(part, "texture", None), "network", None)
        if isinstance(network, MLP):
            keys = {"inputs": f"{where}.texture.dir_encoding_config, which makes for inputs: "}
            yield from _of_network(network, {fused.MLP: network.dim_in}, keys, f"{where}.texture.mlp_network_config")


def _of_geometry(geometry: nn.Module, where: str) -> Iterator[str]:
    """Those of the hash grid and of the network of a geometry."""
    if not isinstance(geometry, VolumeSDF | VolumeDensity) or not isinstance(geometry.network, MLP):
        return  # somebody's own
    spec = getattr(geometry.encoding, "spec", None)
    for misfit in [] if spec is None else fused.grid_misfits(spec):
        yield f"{where}.xyz_encoding_config.n_features_per_level={misfit.given} ({misfit.fits} fits)"
    kernels = {}
    if isinstance(geometry, VolumeSDF) and geometry.config.grad_type == "analytic":
        kernels[fused.SDF_WITH_GRADIENT] = geometry.encoding.num_features
    kernels[fused.MLP] = geometry.network.dim_in  # distances alone are asked for too, by the occupancy grid
    keys = {"outputs": f"{where}.feature_dim=", "inputs": f"{where}.xyz_encoding_config, which makes for inputs: "}
    yield from _of_network(geometry.network, kernels, keys, f"{where}.mlp_network_config")


def _of_network(
    network: MLP, kernels: dict[fused.NetworkKernel, int], keys: dict[str, str], where: str
) -> Iterator[str]:
    """Those of a network, by the kernels that compute it and the number of features that each of them reads.

    keys: the setting behind a property, in addition to those of the network's own block."""
    keys = {"hidden layers": f"{where}.n_hidden_layers=", "width": f"{where}.n_neurons="} | keys
    by_property: dict[str, str] = {}
    for kernel, num_features in kernels.items():
        for misfit in fused.network_misfits(network.parameters_as_layers(), num_features, kernel):
            key = keys.get(misfit.what, f"{where}, {misfit.what}: ")
            by_property.setdefault(misfit.what, f"{key}{misfit.given} ({misfit.fits} fit)")
    yield from by_property.values()
