"""Trainings of the shipped configs, for the launches that they make."""

from systems.configs import read_experiment
from systems.training.rehearsal import rehearse

_HALF, _FULL = ["trainer.precision=16"], ["trainer.precision=32"]
_PATCHES = ["system.loss.lambda_ncc=0.1"]
_GLOSSY = "quality/glossy"
# files of configs, and overrides: what ships, and what is found in the documentation of settings
CASES: dict[str, tuple[list[str], list[str]]] = {
    **{name: ([name], []) for name in ("nerf-blender", "nerf-colmap", "neus-blender", "neus-bmvs", "neus-demo")},
    **{name: ([name], []) for name in ("neus-dtu", "neus-dtu-wmask", "neus-colmap", "neuralangelo-dtu-wmask")},
    "neus-capture": (["neus-capture"], _PATCHES),
    "neus-blender, high": (["neus-blender", "quality/high"], []),
    "neus-dtu, glossy": (["neus-dtu", _GLOSSY], []),
    "neus-blender, 32 bits": (["neus-blender"], _FULL),
    "nerf-colmap, 32 bits": (["nerf-colmap"], _FULL),
    "neus-dtu-wmask, cameras move": (["neus-dtu-wmask"], ["system.refine_poses=1e-4", *_PATCHES]),
    "neus-dtu, gated, cameras move": (
        ["neus-dtu"],
        ["system.refine_poses=1e-4", "model.texture.name=volume-gated-radiance"],
    ),
    "neus-dtu, wide": (["neus-dtu"], ["model.geometry.mlp_network_config.n_neurons=128"]),
}
FEW = ("neus-blender",)  # whose kernels take the longest in the most common trainings


def run_case(name: str) -> None:
    """Steps of a training, a view and colours of a mesh; for `noted` launches, since numbers mean nothing."""
    files, overrides = CASES[name]
    scene = ["dataset.scene=x", "dataset.root_dir=x"]
    rehearse(read_experiment([f"configs/{file}.yaml" for file in files], [*scene, *overrides]))
