"""Another kind of component on the command line: what earlier files say of the old kind goes, typing errors stay."""

from pathlib import Path

import pytest

from systems.configs import Experiment, read_experiment
from utils.errors import ConfigError
from utils.registry import name_of

GRID = "model.geometry.xyz_encoding_config"
SCENE = ["dataset.scene=x"]


def blender(*overrides: str) -> Experiment:
    return read_experiment(["configs/neus-blender.yaml"], [*SCENE, *overrides])


def test_keys_that_only_the_old_kind_knows_are_dropped_and_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="utils.config.switches"):
        grid = blender(f"{GRID}.otype=HashGrid").model.geometry.xyz_encoding_config
    assert name_of(grid) == "HashGrid"
    assert (grid.n_levels, grid.base_resolution) == (13, 32)  # those that both know stay
    assert caplog.messages == [
        f"command line picks {GRID}.otype=HashGrid: start_level, update_steps of ProgressiveBandHashGrid dropped"
    ]


def test_keys_that_come_with_the_choice_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^command line: .*start_level: unknown key"):
        blender(f"{GRID}.otype=HashGrid", f"{GRID}.start_level=3")


def test_keys_of_a_file_behind_the_choice_are_refused(tmp_path: Path) -> None:
    for name, text in (("a", "otype: HashGrid"), ("b", "start_level: 3")):
        (tmp_path / f"{name}.yaml").write_text(f"model: {{geometry: {{xyz_encoding_config: {{{text}}}}}}}\n")
    files = ["configs/neus-blender.yaml", tmp_path / "a.yaml"]
    assert name_of(read_experiment(files, SCENE).model.geometry.xyz_encoding_config) == "HashGrid"
    with pytest.raises(ConfigError, match=r"b\.yaml:1: .*start_level: unknown key"):
        read_experiment([*files, tmp_path / "b.yaml"], SCENE)


def test_a_typing_error_in_an_earlier_file_is_not_swallowed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("model: {geometry: {xyz_encoding_config: {start_levle: 3}}}\n")
    with pytest.raises(ConfigError, match="start_levle: unknown key"):
        read_experiment(["configs/neus-blender.yaml", tmp_path / "a.yaml"], [*SCENE, f"{GRID}.otype=HashGrid"])


def test_the_same_kind_again_drops_nothing() -> None:
    assert blender(f"{GRID}.otype=ProgressiveBandHashGrid") == blender()


def test_a_schedule_and_its_args_change_too() -> None:
    scheduler = ["system.scheduler.name=ExponentialLR", "system.scheduler.args.gamma=0.5"]
    assert blender(*scheduler).system.scheduler.at(2) == 0.25
    nerf = read_experiment(["configs/nerf-blender.yaml"], [*SCENE, *scheduler])  # MultiStepLR, with args of its own
    assert nerf.system.scheduler.at(2) == 0.25


def test_a_dataset_in_another_layout() -> None:
    found = read_experiment(["configs/neus-dtu.yaml"], ["dataset.name=blender"])
    assert name_of(found.dataset) == "blender"


def test_a_part_of_a_switched_component_may_switch_as_well() -> None:
    model = read_experiment(
        ["configs/neus-dtu.yaml"],
        [
            *("model.name=nerf", "model.geometry.name=volume-density", "model.texture.input_feature_dim=13"),
            *(f"{GRID}.otype=VanillaFrequency", "system.loss.lambda_eikonal=0"),
        ],
    ).model
    assert name_of(model.geometry) == "volume-density"
    assert name_of(model.geometry.xyz_encoding_config) == "VanillaFrequency"
