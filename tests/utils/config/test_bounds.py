"""Every number of every component has bounds, and the schema holds them: at them it is taken, beyond them refused."""

from typing import Any

import pytest
from schema_keys import Bound, bounds, classes, put, required

from systems.configs import LossConfig
from utils.config import schema
from utils.config.limits import FolderName, OneOf, Range, number_text
from utils.errors import ConfigError

UNBOUNDED: set[str] = set()  # numbers that may truly be anything
BOUNDS = [(name, bound) for name, cls in classes().items() for bound in bounds(cls)]
COMPANIONS = {  # what must go with a number at one of its bounds, since other keys have a say
    "finite_difference_jitter": {"grad_type": "finite_difference"},
    "per_level_scale": {"n_levels": 1},
    "train_num_rays": {"num_samples_per_ray": 1},
    "num_samples_per_ray_bg": {"learned_background": True},
    "ncc_views": {"ncc_best": 1},
    "ncc_best": {"ncc_views": 1000},
    "ncc_patch": {"ncc_stride": 1},
    "ncc_stride": {"ncc_patch": 101},
}


def parsed(name: str, bound: Bound, number: float) -> Any:
    node = required(name) | COMPANIONS.get(bound.key, {})
    if name in ("neus", "nerf") and bound.key == "radius":
        node = put(node, "geometry.radius", number)
    if name == "SequentialLR":
        node = {**node, "schedulers": [{"name": "ConstantLR"}] * 2}
    node = put(node, bound.key, bound.value(number))
    if bound.cls is LossConfig:
        return LossConfig.from_config(node, "top")
    return schema.parse(bound.cls, node, "top")


def test_every_number_has_bounds() -> None:
    assert {str(bound) for _, bound in BOUNDS if bound.range is None} == UNBOUNDED
    assert len(BOUNDS) > 100


@pytest.mark.parametrize(("name", "bound"), BOUNDS, ids=lambda part: str(part) if isinstance(part, Bound) else part)
def test_bounds_are_taken_and_what_lies_beyond_is_refused(name: str, bound: Bound) -> None:
    taken, refused = bound.edges()
    for number in taken:
        parsed(name, bound, number)
    key = f"top.{bound.key}" if "." in bound.key else bound.key.rsplit(".")[-1]
    for number in refused:
        with pytest.raises(ConfigError) as caught:
            parsed(name, bound, number)
        assert key in str(caught.value)
        assert str(bound.range) in str(caught.value)
        assert "got" in str(caught.value)
    for number in (float("nan"), float("inf"), float("-inf")):
        with pytest.raises(ConfigError, match=bound.key.rsplit(".")[-1]):
            parsed(name, bound, number)


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (Range(1, 32), "from 1 to 32"),
        (Range(0, 10**9), "from 0 to 1e9"),
        (Range(above=0.0, high=1e6), "above 0 and at most 1e6"),
        (Range(0.0, below=1.0), "at least 0 and below 1"),
        (Range(low=3), "at least 3"),
        (Range(0, 2**32 - 1), "from 0 to 4294967295"),
    ],
)
def test_how_a_range_is_told(limit: Range, text: str) -> None:
    assert str(limit) == text


@pytest.mark.parametrize(("value", "text"), [(1e-15, "1e-15"), (2.5, "2.5"), (10**7, "1e7"), (1e6, "1e6"), (12, "12")])
def test_numbers_are_short(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize("name", ["lego", "v1.2_a-b", "Größe", "日本", ".hidden", "a" * 100])
def test_names_of_folders(name: str) -> None:
    assert FolderName().admits(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", "a b", "a:b", "x@y", "a" * 101, "a\n", "a.", "nul", "CON.x", "日" * 40],
)
def test_what_no_folder_is_called(name: str) -> None:
    assert not FolderName().admits(name)


def test_a_trial_has_a_date_and_a_tag_may_be_empty() -> None:
    assert FolderName(also="@").admits("tag@20260101-101112")
    assert FolderName(empty=True).admits("")


def test_a_name_that_is_registered() -> None:
    limit = OneOf("exporter")
    assert limit.admits("obj")
    assert not limit.admits("objj")
    assert str(limit) == "that is one of glb, obj, ply, stl, usdz"
