"""A setting reaches what it names, or is refused or told: optimiser settings of all parts, names of scenes."""

from pathlib import Path

import pytest
import yaml
from predecessor_configs import configs, text

from models.configs import NeuSConfig
from systems.configs import Experiment, read_experiment
from utils.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
ARGS, PARAMS = "system.optimizer.args", "system.optimizer.params"
SHIPPED = sorted((ROOT / "configs").glob("*.yaml"))
GIVEN = ["dataset.scene=x", "dataset.root_dir=x"]


def rates(experiment: Experiment) -> dict[str, float]:
    """The learning rate of each part that is named."""
    optimizer = experiment.system.optimizer
    return {name: optimizer.args.lr if part.lr is None else part.lr for name, part in optimizer.params.items()}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_one_rate_sets_those_of_all_parts(path: Path) -> None:
    usual, changed = read_experiment([path], GIVEN), read_experiment([path], [*GIVEN, f"{ARGS}.lr=0.005"])
    rate = 0.015 if path.stem == "neus-blender" else 0.01
    if isinstance(usual.model, NeuSConfig):
        assert rates(usual) == {"geometry": rate, "texture": rate, "variance": rate / 10}  # to the bit
        assert rates(changed) == {"geometry": 0.005, "texture": 0.005, "variance": 0.0005}
    assert usual.system.optimizer.args.lr == rate
    assert changed.system.optimizer.args.lr == 0.005


def test_several_rays_in_a_pixel_keep_the_rate_that_they_were_measured_with() -> None:
    high = [ROOT / "configs/neus-blender.yaml", ROOT / "configs/quality/high.yaml"]
    assert read_experiment(high, GIVEN).system.optimizer.args.lr == 0.01
    assert read_experiment(high, [*GIVEN, f"{ARGS}.lr=0.02"]).system.optimizer.args.lr == 0.02


def foreign(folder: Path, **more: object) -> Path:
    """A file in which geometry, texture and variance have settings of their own."""
    node = yaml.safe_load(text("neus-dtu-wmask"))
    for part in node["system"]["optimizer"]["params"].values():
        part |= more
    path = folder / "foreign.yaml"
    path.write_text(yaml.safe_dump(node))
    return path


@pytest.mark.parametrize(("name", "value"), [("lr", 0.02), ("betas", [0.8, 0.9]), ("eps", 1e-8), ("weight_decay", 0.1)])
def test_a_setting_that_no_part_follows_is_refused(tmp_path: Path, name: str, value: object) -> None:
    path = foreign(tmp_path, **{name: value})
    assert read_experiment([path], []).system.optimizer.params["texture"] is not None
    told = ", ".join(f"{PARAMS}.{part}.{name}" for part in ("geometry", "texture", "variance"))
    with pytest.raises(ConfigError, match=rf"^command line: {ARGS}\.{name}: has no effect.* Set {told} instead\.$"):
        read_experiment([path], [f"{ARGS}.{name}={value}"])
    later = tmp_path / "later.yaml"
    later.write_text(yaml.safe_dump({"system": {"optimizer": {"args": {name: value}}}}))
    with pytest.raises(ConfigError, match=rf"later.yaml:\d: {ARGS}\.{name}: has no effect"):
        read_experiment([path, later], [])


def test_a_setting_that_parts_follow_is_taken(tmp_path: Path) -> None:
    found = read_experiment([foreign(tmp_path)], [f"{ARGS}.eps=1e-8"])
    assert found.system.optimizer.args.eps == 1e-8
    both = [f"{ARGS}.lr=0.5", *(f"{PARAMS}.{part}.lr=0.25" for part in ("geometry", "texture", "variance"))]
    assert set(rates(read_experiment([foreign(tmp_path)], both)).values()) == {0.25}


@pytest.mark.parametrize("part", ["exposure", "vignette", "response"])
def test_a_setting_that_one_part_follows_names_the_others(
    tmp_path: Path, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = foreign(tmp_path)
    read_experiment([path], [f"system.{part}=true", f"{ARGS}.lr=0.5"])
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{ARGS}.lr=0.5 has no effect on the parts that set their own: {PARAMS}.geometry.lr, {PARAMS}.texture.lr, "
        f"{PARAMS}.variance.lr"
    )


@pytest.mark.parametrize("name", configs())
def test_files_of_the_predecessor_set_both_and_are_taken(tmp_path: Path, name: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text(name))
    given = [f"dataset.root_dir={tmp_path}", *(GIVEN[:1] if "blender" in name else [])]
    assert read_experiment([path], given).system.optimizer.args.lr == 0.01


@pytest.mark.parametrize(
    ("config", "typed", "told"),
    [
        ("neus-demo", ["dataset.scene=lego"], "dataset.scene=lego is a name alone here"),
        ("neus-demo", ["dataset.scene=lego", "dataset.root_dir=lego"], ""),
        ("neus-demo", ["dataset.scene=lego", "dataset.root_dir=load/${dataset.scene}"], ""),
        ("neus-blender", ["dataset.scene=lego"], ""),
        ("neus-demo", [], ""),
    ],
)
def test_a_scene_that_the_folder_does_not_follow_is_told(
    config: str, typed: list[str], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    read_experiment([ROOT / "configs" / f"{config}.yaml"], typed)
    assert bool(told) == bool(caplog.messages)
    assert told in caplog.text
