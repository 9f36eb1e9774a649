"""About how much memory of a GPU a run takes, by what its steps hold: counted on a CPU, not measured.

Bytes for a sample are those which are alive at once at the peak of a step in the Triton backend, forward and backward;
tests/benchmarks/test_memory_need.py counts them in steps that are rehearsed. Networks of other depth or width
than the shipped ones may take three times as many. Views are rendered in pieces that are halved where memory runs out,
so they decide nothing."""

from dataclasses import dataclass

from models.background_configs import LearnedBackgroundConfig
from models.configs import VolumeModelConfig
from models.network_configs import HashGridConfig
from models.ops.grid import GridSpec
from systems.configs import Experiment

PARAMETER_BYTES = 16  # value, gradient and two moments
CELL_BYTES = 5  # of an occupancy grid: a value and a flag
PARTIAL_SUMS = 16 * 10**6  # gradients of networks, by program
RAY_BYTES = 130  # of a training step
# of a sample: for itself, and for each feature of the grid
ANALYTIC_HALF, ANALYTIC_FULL, DIFFERENCES, DENSITY = (440, 8.75), (476, 12.5), (1024, 43.75), (172, 4.0)
BACKGROUND, BACKGROUND_SEEN_FROM = (40, 8.0), (120, 8.0)  # the same colour from all sides; a colour by direction
MESH_MIB = {256: 794, 512: 1170, 1024: 3550, 2048: 3560}  # by lattice, as benchmarks/results/export.json measured it
RUNTIME = 600 * 2**20  # of CUDA, its libraries and the kernels
MIB = 2**20


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes on the device."""

    photographs: int
    weights: int  # with gradients, moments and occupancy
    step: int  # what a training step holds beside them
    mesh: int  # what its extraction holds beside weights and photographs

    @property
    def training(self) -> int:
        """With the recorded steps, which share their memory, and one that ran before it was recorded."""
        return self.photographs + self.weights + 2 * self.step

    @property
    def whole(self) -> int:
        """The most of a run, with what CUDA itself takes."""
        return RUNTIME + max(self.training, self.photographs + self.weights + self.mesh)


def memory_need(experiment: Experiment, photographs: tuple[int, int, int]) -> MemoryNeed | None:
    """What the run of an experiment takes; None where its model or an encoding of it is not known.

    photographs: how many, and their width and height in pixels."""
    model = experiment.model
    if not isinstance(model, VolumeModelConfig):
        return None
    background = model.background if isinstance(model.background, LearnedBackgroundConfig) else None
    fields = [model] if background is None else [model, background]
    if not all(isinstance(field.geometry.xyz_encoding_config, HashGridConfig) for field in fields):
        return None
    num, width, height = photographs
    lattice = model.geometry.isosurface.resolution
    mesh = MESH_MIB[min((size for size in MESH_MIB if size >= lattice), default=max(MESH_MIB))]
    weights = sum(_weights(field) for field in fields)
    return MemoryNeed(4 * num * width * height, weights, _step(experiment, background), mesh * MIB)


def _weights(field: VolumeModelConfig | LearnedBackgroundConfig) -> int:
    """Networks are small beside the grid."""
    grid = field.geometry.xyz_encoding_config
    spec = GridSpec(
        grid.n_levels, grid.n_features_per_level, grid.log2_hashmap_size, grid.base_resolution, grid.per_level_scale
    )
    return PARAMETER_BYTES * spec.num_entries * grid.n_features_per_level + CELL_BYTES * field.grid_resolution**3


def _step(experiment: Experiment, background: LearnedBackgroundConfig | None) -> int:
    model = experiment.model
    rays = model.max_train_num_rays if model.dynamic_ray_sampling else model.train_num_rays
    if not model.geometry.is_sdf:
        own = DENSITY
    elif model.geometry.grad_type == "finite_difference":
        own = DIFFERENCES
    else:
        own = ANALYTIC_FULL if experiment.trainer.precision == "32" else ANALYTIC_HALF
    held = PARTIAL_SUMS + RAY_BYTES * rays + model.train_num_rays * model.num_samples_per_ray * _of_sample(own, model)
    if background is not None:
        samples = background.num_samples_in_front + background.num_samples_per_ray + 1
        degree = getattr(getattr(background.texture, "dir_encoding_config", None), "degree", 1)
        kind = BACKGROUND if degree == 1 else BACKGROUND_SEEN_FROM
        held += min(background.train_num_rays, rays) * samples * _of_sample(kind, background)
    return int(held)


def _of_sample(costs: tuple[float, float], field: VolumeModelConfig | LearnedBackgroundConfig) -> float:
    grid = field.geometry.xyz_encoding_config
    return costs[0] + costs[1] * grid.n_levels * grid.n_features_per_level
