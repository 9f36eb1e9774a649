"""About how long a training takes on a card, by what its steps move and compute there: estimated, not measured."""

import torch

from models.background_configs import LearnedBackgroundConfig
from models.configs import VolumeModelConfig
from models.network_configs import HashGridConfig
from models.ops.grid import GridSpec
from models.ops.roofline import Specs, Step, milliseconds, specs_of
from systems.configs import Experiment

# Kernels of a recorded step. Those of a NeuS and a NeRF are counted in profiles on an H200; the others are as many as
# make the milliseconds that were measured there: a step with a background, and what the mean step of a capture with
# masks took longer than one without photographs' light and patches, 1.2 ms, which does not tell how much is which.
SDF_KERNELS, DENSITY_KERNELS, BACKGROUND_KERNELS = 74, 48, 48
LIGHT_KERNELS = 130  # with exposures, vignettes, responses or poses of the photographs
PATCH_KERNELS = 453  # while patches of photographs are compared
DIFFERENCES = 2.9  # times as long, where the gradient of an SDF comes of seven queries: 3.89 ms, not 1.34, on an H200
TIMED = 90  # the capability of the cards that were timed


def parts_of(experiment: Experiment) -> list[Step]:
    """What a step does, the mean over the training, by field: that of the scene, and of a background that is learned;
    none where the estimate does not know one of them."""
    model = experiment.model
    if not isinstance(model, VolumeModelConfig):
        return []
    extra = LIGHT_KERNELS if experiment.system.learned_parts else 0
    extra += PATCH_KERNELS * _share_with_patches(experiment)
    fields = [(model, (SDF_KERNELS if model.geometry.is_sdf else DENSITY_KERNELS) + extra)]
    if isinstance(model.background, LearnedBackgroundConfig):
        fields.append((model.background, BACKGROUND_KERNELS))
    if not all(isinstance(field.geometry.xyz_encoding_config, HashGridConfig) for field, _ in fields):
        return []
    return [_step(field, kernels) for field, kernels in fields]


def step_milliseconds(experiment: Experiment, card: Specs) -> float | None:
    """Of a training step on a card, the mean over the training; None where the estimate does not know the model."""
    parts = parts_of(experiment)
    if not parts:
        return None
    differences = getattr(experiment.model.geometry, "grad_type", "analytic") == "finite_difference"
    return (DIFFERENCES if differences else 1.0) * sum(milliseconds(part, card) for part in parts)


def describe_duration(experiment: Experiment, step: int, device: torch.device) -> str:
    """How long the steps from a step on take on a device, in words; empty where that cannot be estimated."""
    card = specs_of(device)
    took = None if card is None else step_milliseconds(experiment, card)
    if took is None or (left := experiment.trainer.max_steps - step) <= 0:
        return ""
    doubt = "" if card.capability == TIMED else "; no such card was timed yet, half or double is possible"
    return f"{left:,} steps in about {_duration(left * took / 1e3)} (estimated{doubt})"


def _step(field: object, kernels: float) -> Step:
    """field: a model's or a background's config."""
    grid = field.geometry.xyz_encoding_config
    spec = GridSpec(
        grid.n_levels,
        grid.n_features_per_level,
        grid.log2_hashmap_size,
        grid.base_resolution,
        grid.per_level_scale,
    )
    return Step(spec, field.geometry.is_sdf, kernels, field.num_samples_per_ray * field.train_num_rays)


def _share_with_patches(experiment: Experiment) -> float:
    """The share of the steps in which patches are compared."""
    weight, last = experiment.system.loss.weights.get("ncc"), experiment.trainer.max_steps
    return 0.0 if weight is None else sum(weight.at((2 * i + 1) * last // 128) > 0.0 for i in range(64)) / 64


def _duration(seconds: float) -> str:
    """With two digits, in the unit that a person would take."""
    return f"{float(f'{seconds:.2g}'):.0f} s" if seconds < 120.0 else f"{seconds / 60.0:.2g} min"
