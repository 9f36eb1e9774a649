"""The verdict on a run: each figure that speaks against it is named, with what to do, and the worst one decides."""

from typing import Any

import pytest

from systems.runs.verdict import LIMITS, in_one_line, judge

GOOD = {
    "psnr": 32.0,
    "ssim": 0.97,
    "sharpness": 0.95,
    "train_views": 60,
    "held_out": {"views": [{"psnr": 31.0}, {"psnr": 33.0}]},
    "mesh": {"holes": 0, "unseen_area_share": 0.02, "floaters_dropped": 3, "components": 1},
    "mesh_against_gt": {"chamfer_permille": 2.0},
}


def with_value(key: str, value: float) -> dict[str, Any]:
    block, _, name = key.rpartition(".")
    if key == "psnr_drop":
        return GOOD | {"held_out": {"views": [{"psnr": 30.0}] * 99 + [{"psnr": 30.0 - value / 0.99}]}}
    return GOOD | ({block: GOOD[block] | {name: value}} if block else {name: value})


def test_a_run_that_nothing_speaks_against_is_good() -> None:
    assert judge(GOOD) == {"grade": "good", "reasons": []}
    assert in_one_line(judge(GOOD)) == "good"
    assert judge({})["grade"] == "good"  # nothing was measured


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.key)
def test_each_figure_has_its_limits(limit) -> None:
    up = 1.0 if limit.poor is None or limit.poor > limit.fair else -1.0
    near = up * 1e-6 * limit.fair
    assert judge(with_value(limit.key, limit.fair - near))["reasons"] == []
    graded = [(limit.fair + near, "fair")] + ([] if limit.poor is None else [(limit.poor + near, "poor")])
    for value, grade in graded:
        found = judge(with_value(limit.key, value))
        (reason,) = found["reasons"]
        assert (found["grade"], reason["grade"]) == (grade, grade)
        assert reason["advice"] == limit.advice
        assert reason["says"].split()[0] == limit.says.format(value, round(value)).split()[0]


def test_one_hole_is_not_many() -> None:
    assert in_one_line(judge(with_value("mesh.holes", 1))).startswith("fair: 1 hole in the mesh. To do: ")
    assert in_one_line(judge(with_value("mesh.holes", 1200))).startswith("poor: 1,200 holes in the mesh. ")


def test_a_run_without_a_mesh_is_poor() -> None:
    assert judge(GOOD | {"mesh": {"error": "no zero crossing"}})["grade"] == "poor"


def test_the_worst_comes_first_and_in_one_line_the_rest_is_counted() -> None:
    bad = GOOD | {"psnr": 24.0, "train_views": 5, "mesh": {"holes": 2, "components": 1}}
    found = judge(bad)
    assert [reason["grade"] for reason in found["reasons"]] == ["poor", "fair", "fair"]
    line = in_one_line(found)
    assert line.startswith("poor: learned from 5 photographs only; held-out views differ")
    assert "and 1 more. To do: take more photographs" in line
    assert "\n" not in line
    assert judge(bad) == found


def test_truth_values_and_missing_figures_do_not_count() -> None:
    assert judge({"psnr": None, "mesh": {"holes": "many"}})["reasons"] == []
