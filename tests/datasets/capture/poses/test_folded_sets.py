"""Folded models of objects whose sides look alike are doubted, true models of the same photographs are not."""

from dataclasses import replace

import pytest

from benchmarks.scenes.folded import FoldedSet, ten_sets, write_set
from datasets.capture.poses import fold_check
from datasets.capture.poses.contradictions import find_contradictions
from datasets.capture.poses.fold_check import PoseCheck, check_poses
from datasets.capture.poses.revisits import Revisits, find_revisits

SETS = {scene.name: scene for scene in ten_sets()}
BARE = SETS["by hand, front and back, bare sides, 16"]
VIDEO = SETS["video, one and a half turns"]


def check(scene: FoldedSet, tmp_path) -> PoseCheck:
    database = tmp_path / "database.db"
    return check_poses(write_set(scene, database), database, scene.order, scene.turntable)


@pytest.mark.parametrize("scene", SETS.values(), ids=SETS)
def test_a_folded_model_is_doubted(scene, tmp_path):
    assert check(scene, tmp_path).doubts


@pytest.mark.parametrize("scene", SETS.values(), ids=SETS)
def test_a_true_model_of_the_same_photographs_is_not(scene, tmp_path):
    found = check(scene.unfolded(), tmp_path)
    assert (found.doubts, found.warnings) == ((), ())


def steps(num: int, turns: float, start: float = 0.0) -> tuple[float, ...]:
    return tuple(start + 360.0 * turns * i / num for i in range(num))


@pytest.mark.parametrize(
    "scene",
    [
        FoldedSet("one and a half turns", 2, (steps(90, 1.5),), (20.0,), ((0,) * 90,), True),
        FoldedSet(
            "short rings", 4, (steps(8, 1), steps(10, 1), steps(12, 1)), (10.0, 30.0, 50.0),
            ((0,) * 8, (0,) * 10, (0,) * 12), True,
        ),
        FoldedSet("there and back", 2, (steps(30, 1), steps(30, -1, 5.0)), (20.0, 28.0), ((0,) * 30,) * 2),
        FoldedSet("half a turn", 3, (steps(24, 0.5),), (20.0,), ((0,) * 24,)),
    ],
    ids=lambda scene: scene.name,
)  # fmt: skip
def test_other_ways_round_an_object_whose_sides_look_alike_pass(scene, tmp_path):
    found = check(scene, tmp_path)
    assert (found.doubts, found.warnings) == ((), ())


def test_what_is_missing_tells_a_fold_that_no_match_contradicts(tmp_path, monkeypatch):
    database = tmp_path / "database.db"
    model = write_set(BARE, database)
    found = find_revisits(model, database, BARE.order)
    assert found.pairs > 5
    assert found.shared < 0.5 * found.expected
    assert find_contradictions(database, model, BARE.order).contradicting == 0
    monkeypatch.setattr(fold_check, "find_revisits", lambda *_: Revisits(0, 0.0, 0.0))
    assert check_poses(model, database, BARE.order, False).doubts == ()


def test_photos_that_come_back_to_a_place_share_what_neighbours_share(tmp_path):
    scene = VIDEO.unfolded()
    database = tmp_path / "database.db"
    found = find_revisits(write_set(scene, database), database, scene.order)
    assert found.pairs > 20
    assert found.shared > 0.9 * found.expected


def test_one_misplaced_photo_is_no_seam_and_a_fold_has_two(tmp_path):
    misplaced = replace(VIDEO, turns=(tuple(int(i == 50) for i in range(120)),))
    for name, scene, seams in (("fold", VIDEO, 2), ("misplaced", misplaced, 0)):
        database = tmp_path / f"{name}.db"
        found = find_contradictions(database, write_set(scene, database), scene.order)
        assert (found.seams, len(found.contradicting_neighbours)) == (seams, 2)
