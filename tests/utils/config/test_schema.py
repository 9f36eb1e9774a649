"""Plain values become frozen dataclasses and come back; what does not fit is refused with its dotted place."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest

from utils import registry
from utils.config import schema
from utils.config.schedule import Schedule
from utils.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    size: tuple[int, int] | None = None
    ratios: tuple[float, ...] = ()


@dataclass(frozen=True)
class Outer:
    """One field of every sort."""

    name: str
    inner: Inner = field(default_factory=Inner)
    steps: int = 1
    rate: float = 0.5
    share: int | float = 2
    flag: bool = False
    mode: Literal["fast", "16", -1, None] = "fast"
    weight: Schedule = field(default_factory=lambda: Schedule.from_config(0.0, ""))
    parts: dict[str, Inner] = field(default_factory=dict)
    UNUSED: ClassVar[dict[str, str]] = {"chunk": "nothing is cut here"}


FULL = {
    "name": "x",
    "inner": {"size": [3, 4], "ratios": [0.5, 1, 2e4]},
    "steps": 2e4,
    "rate": 3,
    "share": 0.25,
    "flag": True,
    "mode": 16,
    "weight": [0, 1.0, 0.0, 9],
    "parts": {"a": {"size": [1, 2]}, "b": {}},
}


def parse(**changed: Any) -> Outer:
    return schema.parse(Outer, {"name": "x", **changed}, "top")


def test_values_take_the_annotated_types() -> None:
    outer = schema.parse(Outer, FULL)
    assert outer.inner == Inner((3, 4), (0.5, 1.0, 20000.0))
    assert (outer.steps, outer.rate, outer.share, outer.flag, outer.mode) == (20000, 3.0, 0.25, True, "16")
    assert [type(value) for value in (outer.steps, outer.rate, *outer.inner.ratios)] == [int, *[float] * 4]
    assert outer.parts == {"a": Inner((1, 2)), "b": Inner()}


def test_a_dump_parses_to_the_same() -> None:
    for outer in (schema.parse(Outer, FULL), parse(), parse(mode=None), parse(mode=-1, inner={"ratios": []})):
        assert schema.parse(Outer, schema.to_dict(outer)) == outer


def test_a_count_and_a_share_stay_apart() -> None:
    assert [type(parse(share=value).share) for value in (1, 1.0)] == [int, float]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"inner": {"size": [1, 2, 3]}}, ["top.inner.size", "2 values", "got 3"]),
        ({"inner": {"size": [1, 2.5]}}, ["top.inner.size[1]", "whole number", "2.5"]),
        ({"inner": {"ratios": "wide"}}, ["top.inner.ratios", "a list", "'wide'"]),
        ({"inner": [1]}, ["top.inner", "block of keys"]),
        ({"inner": {"sise": None}}, ["top.inner.sise", "unknown key", "'size'", "ratios"]),
        ({"parts": {"a": {"sizes": 1}}}, ["top.parts.a.sizes", "'size'"]),
        ({"parts": [1]}, ["top.parts", "block of keys"]),
        ({"mode": "fats"}, ["top.mode", "fast", "null", "'fats'", "Did you mean 'fast'"]),
        ({"mode": True}, ["top.mode", "got true"]),
        ({"flag": 1}, ["top.flag", "true or false"]),
        ({"name": True}, ["top.name", "text"]),
        ({"name": None}, ["top.name", "text"]),
        ({"share": "all"}, ["top.share", "a number", "'all'"]),
        ({"weight": [0, 1]}, ["top.weight", "schedule"]),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_its_place(node: dict, said: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(**node)
    assert str(caught.value).startswith(f"{said[0]}: ")
    assert all(word in str(caught.value) for word in said)


@pytest.mark.parametrize("value", [True, "3", None, [1], math.nan, math.inf, -math.inf, 10**400])
def test_what_is_no_number(value: Any) -> None:
    assert not schema.is_number(value)
    for key in ("steps", "rate"):
        with pytest.raises(ConfigError, match=f"top.{key}: expected a"):
            parse(**{key: value})


@pytest.mark.parametrize("value", [0, -3, 2.5, 1e300, 10**30])
def test_what_is_a_number(value: float) -> None:
    assert schema.is_number(value)
    assert parse(rate=value).rate == float(value)


def test_a_required_field_is_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"^top\.name: missing"):
        schema.parse(Outer, {}, "top")


@pytest.mark.parametrize("node", [None, 3, ["name"]])
def test_only_a_block_is_a_config(node: Any) -> None:
    with pytest.raises(ConfigError, match=r"^config: expected a block of keys"):
        schema.parse(Outer, node)


def test_unused_keys_are_accepted_with_their_reason(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="utils.config.schema"):
        assert parse(chunk=7) == parse()
    assert "top.chunk has no effect: nothing is cut here" in caplog.text


@dataclass(frozen=True)
class Holder:
    geometry: Any = schema.component("geometry")
    encoding: Any = schema.component("encoding", default=None)


SDF = {
    "name": "volume-sdf",
    "xyz_encoding_config": {"otype": "HashGrid", "n_levels": 4},
    "mlp_network_config": {"otype": "VanillaMLP"},
}


def test_a_component_is_picked_by_its_name_and_keeps_it() -> None:
    holder = schema.parse(Holder, {"geometry": SDF, "encoding": {"otype": "VanillaFrequency"}})
    assert registry.name_of(holder.geometry) == "volume-sdf"
    assert holder.geometry.xyz_encoding_config.n_levels == 4
    node = schema.to_dict(holder)
    assert (node["geometry"]["name"], node["encoding"]["otype"]) == ("volume-sdf", "VanillaFrequency")
    assert schema.parse(Holder, node) == holder


def test_an_optional_component_may_be_null() -> None:
    holder = schema.parse(Holder, {"geometry": SDF, "encoding": None})
    assert holder.encoding is None
    assert schema.parse(Holder, schema.to_dict(holder)) == holder


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        ({**SDF, "name": "volume-sdff"}, ["geometry.name: ", "'volume-sdf'"]),
        ({**SDF, "radios": 1}, ["geometry.radios: ", "'radius'"]),
        ({**SDF, "name": 3}, ["geometry.name: ", "volume-density", "got 3"]),
        (None, ["geometry: ", "'name'"]),
        ({**SDF, "mlp_network_config": {"name": "VanillaMLP"}}, ["geometry.mlp_network_config: ", "'otype'"]),
    ],
    ids=["name", "key", "number", "null", "otype"],
)
def test_a_component_that_does_not_exist(geometry: Any, said: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        schema.parse(Holder, {"geometry": geometry})
    assert str(caught.value).startswith(said[0])
    assert all(word in str(caught.value) for word in said)


@pytest.mark.parametrize("activation", ["sigmoid", "Sigmoid"])
def test_a_signed_distance_is_not_squashed(activation: str) -> None:
    network = {"otype": "FullyFusedMLP", "output_activation": activation}
    with pytest.raises(ConfigError, match=r"^model\.geometry\.mlp_network_config\.output_activation: expected none"):
        schema.parse(Holder, {"geometry": {**SDF, "mlp_network_config": network}})
    density = {**SDF, "name": "volume-density", "mlp_network_config": network}
    assert schema.parse(Holder, {"geometry": density}).geometry.mlp_network_config.output_activation == activation
