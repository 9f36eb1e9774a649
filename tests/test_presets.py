"""Presets by time: any config of a scene, with one of configs/quality behind it."""

from pathlib import Path

import pytest

from models.background_configs import ColorBackgroundConfig, LearnedBackgroundConfig, NoBackgroundConfig
from models.configs import ReflectedRadianceConfig
from systems.configs import Experiment, experiment_of, read_experiment, read_sources
from systems.runs import RunFolder
from systems.runs.recorded_config import ConfigRecord
from systems.runs.resuming import config_paths
from utils.registry import ROOT

SCENES = sorted((ROOT / "configs").glob("*.yaml"))
GIVEN = ["dataset.scene=x", "dataset.root_dir=x"]


def with_preset(path: Path, preset: str) -> Experiment:
    return read_experiment([str(path), str(ROOT / f"configs/quality/{preset}.yaml")], GIVEN)


@pytest.mark.parametrize("path", SCENES, ids=lambda path: path.stem)
def test_presets_grow_in_steps_and_in_the_resolution_of_the_mesh(path: Path) -> None:
    draft, default, high = (with_preset(path, name) for name in ("draft", "default", "high"))
    assert draft.trainer.max_steps < default.trainer.max_steps < high.trainer.max_steps
    resolutions = [found.model.geometry.isosurface.resolution for found in (draft, default, high)]
    assert resolutions == sorted(set(resolutions))
    assert high.model.train_num_rays * high.model.num_samples_per_ray >= (
        high.model.rays_per_pixel * default.model.train_num_rays * default.model.num_samples_per_ray
    )


@pytest.mark.parametrize("path", SCENES, ids=lambda path: path.stem)
def test_high_has_several_rays_a_pixel_where_no_background_is_learned(path: Path) -> None:
    model = with_preset(path, "high").model
    assert model.rays_per_pixel == (1 if isinstance(model.background, LearnedBackgroundConfig) else 8)


@pytest.mark.parametrize("name", ["neus-blender", "neus-dtu-wmask"])
@pytest.mark.parametrize("preset", ["draft", "high"])
def test_schedules_follow_the_steps_of_a_preset(name: str, preset: str) -> None:
    found = with_preset(ROOT / f"configs/{name}.yaml", preset)
    last = found.trainer.max_steps
    sparsity = found.system.loss.weights["sparsity"]
    assert sparsity.at(0) > 0.0
    assert sparsity.at(last // 2) > 0.0
    assert sparsity.at(last) == 0.0
    factor = found.system.scheduler.at
    assert factor(last) == pytest.approx(0.02 * factor(found.system.warmup_steps), rel=0.1)


@pytest.mark.parametrize("preset", ["draft", "default", "high"])
def test_all_levels_are_open_in_the_first_fifth_of_the_steps(preset: str) -> None:
    found = with_preset(ROOT / "configs/neus-blender.yaml", preset)
    grid = found.model.geometry.xyz_encoding_config
    assert 0 < (grid.n_levels - grid.start_level) * grid.update_steps <= found.trainer.max_steps / 5


def test_the_shortest_of_runs_opens_a_level_a_step() -> None:
    few = [*GIVEN, "trainer.max_steps=2", "system.warmup_steps=1"]
    found = read_experiment([str(ROOT / "configs/neus-blender.yaml")], few)
    assert found.model.geometry.xyz_encoding_config.update_steps == 1


@pytest.mark.parametrize("name", ["neus-blender", "neus-dtu-wmask", "neus-capture"])
def test_default_is_what_a_config_does_by_itself(name: str) -> None:
    """But for the steps of neus-blender, which needs fewer."""
    path = ROOT / f"configs/{name}.yaml"
    steps = "trainer.max_steps=20000" if name == "neus-blender" else "seed=42"
    assert with_preset(path, "default") == read_experiment([str(path)], [*GIVEN, steps])


@pytest.mark.parametrize("preset", ["draft", "default", "high"])
@pytest.mark.parametrize(
    "path", [path for path in SCENES if not path.stem.startswith("nerf")], ids=lambda path: path.stem
)
def test_glossy_goes_with_every_surface_and_every_time(path: Path, preset: str) -> None:
    files = [path, ROOT / f"configs/quality/{preset}.yaml", ROOT / "configs/quality/glossy.yaml"]
    texture = read_experiment([str(file) for file in files], GIVEN).model.texture
    assert isinstance(texture, ReflectedRadianceConfig)
    assert texture.input_feature_dim + 1 + texture.dir_encoding_config.degree**2 == 32
    assert texture.roughness > 0.0


@pytest.mark.parametrize("name", ["neus-capture", "neus-capture-cpu"])
def test_a_capture_is_trained_as_its_masks_tell(name: str, tmp_path: Path) -> None:
    def read(*typed: str) -> Experiment:
        return read_experiment([str(ROOT / f"configs/{name}.yaml")], [f"dataset.root_dir={tmp_path}", *typed])

    (tmp_path / "masks_loose").mkdir()  # say where the object may be, not where it is
    scene = read()
    assert isinstance(scene.model.background, LearnedBackgroundConfig)
    assert not scene.dataset.apply_mask
    (tmp_path / "masks").mkdir()
    alone = read()
    assert isinstance(alone.model.background, NoBackgroundConfig)
    assert alone.dataset.apply_mask
    assert not alone.system.loss.is_off("mask")
    half, patches = alone.trainer.max_steps // 2, alone.system.loss.weights["ncc"]
    assert (patches.at(half - 1), patches.at(half), patches.at(2 * half)) == (0.0, 0.2, 0.2)
    assert scene.system.loss.is_off("ncc")
    assert read("dataset.apply_mask=false") == scene
    assert isinstance(read("model.background.name=color").model.background, ColorBackgroundConfig)


def test_a_run_goes_on_as_it_began_when_masks_come_later(tmp_path: Path) -> None:
    paths, typed = [ROOT / "configs/neus-capture.yaml"], [f"dataset.root_dir={tmp_path}"]
    sources = read_sources(paths, typed)
    begun, run = experiment_of(sources), RunFolder(tmp_path / "run")
    ConfigRecord.of(run, paths, sources, begun).create()
    (tmp_path / "masks").mkdir()
    assert read_experiment(config_paths([], run.path), []) == begun
    assert read_experiment(paths, typed) != begun
