"""`model.radius=auto` becomes a number that the run's folder keeps and a resumed run reads."""

import math

import pytest

from systems.auto_radius import AUTO, asks_for_radius, with_radius
from systems.configs import experiment_of, read_experiment, read_sources
from systems.runs import RunFolder
from systems.runs.recorded_config import ConfigRecord, config_files
from utils.errors import ConfigError

CONFIG = "configs/neus-demo.yaml"


def test_auto_waits_for_the_scene_and_the_geometry_follows():
    experiment = read_experiment([CONFIG], ["model.radius=auto"])
    assert asks_for_radius(experiment)
    assert experiment.model.geometry.radius == AUTO
    found, changes = with_radius(experiment, 850.0, is_new=True)
    assert (found.model.radius, found.model.geometry.radius) == (850.0, 850.0)
    assert not asks_for_radius(found)
    start = found.model.variance.init_val
    assert start == pytest.approx(experiment.model.variance.init_val - 0.1 * math.log(850.0), abs=1e-4)
    assert changes == {"model.radius": 850.0, "model.variance.init_val": start}
    assert with_radius(experiment, 850.0, is_new=False)[0].model.variance == experiment.model.variance


def test_a_number_beside_auto_is_refused():
    with pytest.raises(ConfigError, match=r"geometry\.radius: expected auto .*got 1\.5"):
        read_experiment([CONFIG], ["model.radius=auto", "model.geometry.radius=1.5"])
    with pytest.raises(ConfigError, match=r"model\.radius: .*auto"):
        read_experiment([CONFIG], ["model.radius=automatic"])
    assert read_experiment([CONFIG], ["model.geometry.radius=auto"]).model.geometry.radius == 1.1


@pytest.mark.parametrize("config", [CONFIG, "configs/nerf-blender.yaml"])
def test_a_resumed_run_has_the_number_and_takes_another_one(tmp_path, config):
    sources = read_sources([config], ["model.radius=auto", "dataset.scene=lego"])
    found, changes = with_radius(experiment_of(sources), 2.5, is_new=True)
    run = RunFolder(tmp_path)
    ConfigRecord.of(run, [config], sources, found).with_applied(changes).create()
    assert read_experiment(config_files(run), []) == found
    other = read_experiment(config_files(run), ["model.radius=3.0"])
    assert (other.model.radius, other.model.geometry.radius) == (3.0, 3.0)
