"""NaN and lost surfaces are noticed from a few figures, and healthy trainings hear nothing."""

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from models.occupancy import OccupancyGrid
from systems.steps.divergence import DivergenceMonitor
from systems.steps.finite import NotFiniteError, require_finite


class Field(nn.Module):
    """What the watch asks of a model: a field around the origin in a grid of cells."""

    def __init__(self, value: Callable[[Tensor], Tensor], is_sdf: bool) -> None:
        super().__init__()
        self.occupancy, self.is_sdf = OccupancyGrid(1.0, 16, 0.01), is_sdf
        self.weight = nn.Parameter(torch.ones(3))
        self.field_value = self.occupancy_value = value


def ball(radius: float) -> Callable[[Tensor], Tensor]:
    return lambda points: points.norm(dim=-1) - radius


def told(field: Field, caplog: pytest.LogCaptureFixture, inv_s: Callable[[int], float] | None = None) -> list[str]:
    """What is said in a training of 8000 steps with figures every 100."""
    watch = DivergenceMonitor(field, field, 8000)
    with caplog.at_level(logging.WARNING):
        for step in range(99, 8000, 100):
            values = {name: float(value) for name, value in watch.probe().items()}
            own = {} if inv_s is None else {"inv_s": inv_s(step)}
            assert watch.check(step, values | own) == own
    return caplog.messages


@pytest.mark.parametrize(
    ("field", "part"),
    [
        (Field(ball(0.5), True), None),
        (Field(ball(-0.1), True), "step 199: the SDF is positive"),
        (Field(ball(2.0), True), "step 199: the SDF is negative"),
        (Field(lambda points: 1e-5 * points.norm(dim=-1), False), "step 699: everything is transparent"),
        (Field(lambda points: 0.95 + 0.0 * points[:, 0], False), "step 699: everything is opaque"),
        (Field(lambda points: 0.5 * points.norm(dim=-1), False), None),
    ],
)
def test_a_lost_surface_is_told_once_and_early(
    field: Field, part: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    messages = told(field, caplog)
    assert len(messages) == (part is not None)
    if part is not None:
        assert messages[0].startswith(part)
        assert "model.radius" in messages[0]


def test_nothing_is_said_of_an_object_that_may_lie_between_the_places(caplog: pytest.LogCaptureFixture) -> None:
    field = Field(ball(-0.1), True)
    watch, values = DivergenceMonitor(field, field, 8000), {"parameters": 1.0, "least": 0.1, "most": 1.0}
    for occupied, told in ((1.0, 0), (0.5, 1)):
        for step in (99, 199):
            watch.check(step, values | {"occupied": occupied})
        assert len(caplog.messages) == told


def test_an_object_as_thin_as_a_leaf_is_no_collapse(caplog: pytest.LogCaptureFixture) -> None:
    field = Field(lambda points: (points[:, 2] - 0.06).abs() - 0.004, True)  # a sixteenth of a cell
    near = field.field_value(field.occupancy.points_in_cells(torch.arange(16**3), 0.5)).abs() < 0.1
    field.occupancy.occupied.copy_(near.view(16, 16, 16))
    assert told(field, caplog) == []


@pytest.mark.parametrize(
    ("inv_s", "is_told"),
    [(lambda step: 20.0, True), (lambda step: 20.0 - 0.001 * step, True), (lambda step: 20.0 + step, False)],
)
def test_a_sharpness_that_does_not_rise_is_told(
    inv_s: Callable[[int], float], is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    messages = told(Field(ball(0.5), True), caplog, inv_s)
    assert len(messages) == is_told
    assert all(message.startswith("step 2199: ") for message in messages)
    assert all("inv_s has not risen" in message and "params.variance.lr" in message for message in messages)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_parameter_that_is_none_is_noticed(bad: float) -> None:
    field = Field(ball(0.5), True)
    watch = DivergenceMonitor(field, field, 100)
    require_finite(field)
    with torch.no_grad():
        field.weight[1] = bad
    values = {name: float(value) for name, value in watch.probe().items()}
    with pytest.raises(NotFiniteError, match="step 7: NaN or infinity in parameters"):
        watch.check(7, values)
    field.global_step = 9
    with pytest.raises(NotFiniteError, match="step 9: NaN or infinity in weight"):
        require_finite(field)


def test_a_loss_that_is_none_is_named() -> None:
    field = Field(ball(0.5), True)
    with pytest.raises(NotFiniteError, match=r"step 3: NaN or infinity in loss, loss/eikonal$"):
        DivergenceMonitor(field, field, 100).check(
            3, {"loss": float("nan"), "loss/eikonal": float("inf"), "loss/mask": 0.1}
        )
