"""A model that lays two sides of an object onto each other is doubted; a true one is not, by hand or on a turntable."""

from itertools import pairwise

import numpy as np
import pycolmap
import pytest

from datasets.capture.frames.frame_list import Frame
from datasets.capture.options import CaptureOptions
from datasets.capture.poses import stage
from datasets.capture.poses.diagnosis import MatchStatistics
from datasets.capture.poses.fold_check import check_poses
from datasets.capture.poses.ring_motion import angle_between, moves, ring_motion
from datasets.capture.setup.record import Setup
from datasets.poses import look_at
from utils.errors import CaptureError

NUM, FOCAL, SIZE = 24, 500.0, (400, 300)
UP = np.array([0.0, 0.0, 1.0])


def on_a_ring(angles, height: float = 0.8) -> np.ndarray:
    """(N, 3, 4) cameras that look at the origin, at angles in degrees."""
    turn = np.radians(np.asarray(angles, float))
    centres = np.stack([3.0 * np.cos(turn), 3.0 * np.sin(turn), np.full(len(turn), height)], axis=1)
    return np.stack([look_at(centre, np.zeros(3), UP) for centre in centres])


def names_of(num: int, ring: int = 0) -> list[str]:
    return [f"{ring}_{i:03d}.jpg" for i in range(num)]


def make_model(poses: dict[str, np.ndarray]) -> pycolmap.Reconstruction:
    """A model with one camera and these poses (3, 4), and no points."""
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(
        pycolmap.Camera(camera_id=1, model="SIMPLE_PINHOLE", width=SIZE[0], height=SIZE[1], params=[FOCAL, 200, 150])
    )
    for number, (name, c2w) in enumerate(poses.items(), start=1):
        image = pycolmap.Image(name=name, camera_id=1, image_id=number, keypoints=np.zeros((0, 2)))
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(c2w).inverse())
    return model


def write_matches(path, poses: dict[str, np.ndarray], pairs, seed: int = 0) -> None:
    """A database in which `pairs` of images have 60 verified matches, of points that lie about the origin."""
    points = np.random.default_rng(seed).uniform(-0.5, 0.5, (60, 3))
    with pycolmap.Database.open(path) as database:
        camera = pycolmap.Camera(model="SIMPLE_PINHOLE", width=SIZE[0], height=SIZE[1], params=[FOCAL, 200, 150])
        camera_id = database.write_camera(camera)
        ids = {}
        for name, c2w in poses.items():
            ids[name] = database.write_image(pycolmap.Image(name=name, camera_id=camera_id))
            inside = (points - c2w[:, 3]) @ c2w[:, :3]
            pixels = FOCAL * inside[:, :2] / inside[:, 2:] + np.array(SIZE) / 2
            database.write_keypoints(ids[name], pixels.astype(np.float32))
        for first, second in pairs:
            geometry = pycolmap.TwoViewGeometry()
            geometry.config = pycolmap.TwoViewGeometryConfiguration.CALIBRATED
            geometry.inlier_matches = np.repeat(np.arange(60, dtype=np.uint32)[:, None], 2, axis=1)
            database.write_two_view_geometry(ids[first], ids[second], geometry)


def ring_pairs(names: list[str]) -> list[tuple[str, str]]:
    return list(zip(names, names[1:] + names[:1], strict=True))


def checked(tmp_path, angles, turntable: bool, height: float = 0.8):
    """The check of a model with cameras at `angles`, of photos that were taken in even steps."""
    names = names_of(len(angles))
    true = dict(zip(names, on_a_ring(np.arange(NUM) * 360.0 / NUM), strict=True))
    write_matches(tmp_path / "database.db", true, ring_pairs(names))
    model = make_model(dict(zip(names, on_a_ring(angles, height), strict=True)))
    return check_poses(model, tmp_path / "database.db", [names], turntable)


EVEN = np.arange(NUM) * 15.0


@pytest.mark.parametrize("turntable", [False, True])
def test_a_true_model_is_not_doubted(turntable, tmp_path):
    check = checked(tmp_path, EVEN, turntable)
    assert (check.doubts, check.warnings) == ((), ())
    assert (check.figures["neighbours"], check.figures["contradicting_neighbours"]) == (23 + turntable, 0)


@pytest.mark.parametrize("turntable", [False, True])
def test_two_halves_on_each_other_are_doubted(turntable, tmp_path):
    check = checked(tmp_path, EVEN % 180.0, turntable)
    assert check.doubts if turntable else check.warnings
    if turntable:
        assert any("24 photos cover 165 degrees 2 times" in doubt for doubt in check.doubts)


def test_several_folds_of_a_walk_are_doubted(tmp_path):
    assert "pairs of neighbouring images match well" in checked(tmp_path, EVEN % 90.0, False).doubts[0]


@pytest.mark.parametrize(
    ("angles", "said"),
    [
        (np.where(np.arange(NUM) % 5 == 4, EVEN - 40.0, EVEN), "move back in"),
        (EVEN * np.where(EVEN > 180.0, -1.0, 1.0), "move back in"),
    ],
)
def test_cameras_of_a_turn_must_move_on(angles, said, tmp_path):
    assert any(said in doubt for doubt in checked(tmp_path, angles, True).doubts)


def test_uneven_steps_of_a_hand_and_left_out_photos_pass(tmp_path):
    random = np.random.default_rng(1)
    names = names_of(NUM)
    angles = np.cumsum(random.uniform(8.0, 25.0, NUM))
    true = dict(zip(names, on_a_ring(angles), strict=True))
    write_matches(tmp_path / "database.db", true, list(pairwise(names)))
    model = make_model({name: pose for name, pose in true.items() if name not in names[7:9]})
    assert check_poses(model, tmp_path / "database.db", [names], True).doubts == ()


def test_a_part_of_the_turn_that_is_left_out_passes(tmp_path):
    angles = EVEN + np.where(np.arange(NUM) > 12, 100.0, 0.0)
    names = names_of(NUM)
    true = dict(zip(names, on_a_ring(angles), strict=True))
    write_matches(tmp_path / "database.db", true, [pair for pair in pairwise(names) if pair[1] != names[13]])
    assert check_poses(make_model(true), tmp_path / "database.db", [names], True).doubts == ()


def test_positions_share_their_axis(tmp_path):
    names = [names_of(NUM, ring) for ring in range(2)]
    first, second = on_a_ring(EVEN), on_a_ring(EVEN, 2.0)
    tilted = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]]) @ second
    for poses, number in ((second, 0), (tilted, 1)):
        both = dict(zip(names[0] + names[1], np.concatenate([first, poses]), strict=True))
        write_matches(tmp_path / f"{number}.db", both, ring_pairs(names[0]))
        doubts = check_poses(make_model(both), tmp_path / f"{number}.db", names, True).doubts
        assert [("axes" in doubt) for doubt in doubts] == [True] * number


def test_a_camera_that_was_moved_unseen_begins_another_turn(tmp_path):
    names = names_of(2 * NUM)
    there, back = on_a_ring(EVEN), on_a_ring(-EVEN, 2.0)
    assert moves(there) == []
    assert moves(np.concatenate([there, back])) == [NUM]
    true = dict(zip(names, np.concatenate([there, back]), strict=True))
    write_matches(tmp_path / "database.db", true, list(pairwise(names[:NUM])) + list(pairwise(names[NUM:])))
    left_out = {name: pose for name, pose in true.items() if name not in names[NUM + 4 : NUM + 7]}
    check = check_poses(make_model(left_out), tmp_path / "database.db", [names], True)
    assert (check.doubts, check.warnings) == ((), ())
    folded = dict(zip(names, np.concatenate([there, on_a_ring(-EVEN % 180.0, 2.0)]), strict=True))
    assert check_poses(make_model(folded), tmp_path / "database.db", [names], True).doubts


def test_the_motion_of_a_ring():
    motion = ring_motion(on_a_ring(-EVEN))
    np.testing.assert_allclose(motion.steps, 15.0, atol=1e-6)
    np.testing.assert_allclose(motion.axis, -UP, atol=1e-6)
    assert motion.off_axis.max() < 1e-4
    assert max(motion.heights, motion.radii) < 1e-6
    assert angle_between([UP, -UP]) < 1e-3


def solve_with(tmp_path, monkeypatch, turntable: bool, *models):
    """What the stage makes of the models that its methods give one after the other."""
    names = names_of(NUM)
    true = dict(zip(names, on_a_ring(EVEN), strict=True))
    write_matches(tmp_path / "database.db", true, ring_pairs(names))
    given = {f"method {number}": lambda model=model: [model] if model else [] for number, model in enumerate(models)}
    monkeypatch.setattr(stage, "_methods", lambda *_: given)
    setup = Setup("turntable" if turntable else "handheld", (tuple(names),), "given", 1.0)
    frames = [Frame(name, name, SIZE, 100.0, 0.6) for name in names]
    statistics = MatchStatistics(frames, False, [1000] * NUM, {(i, i + 1): 60 for i in range(NUM - 1)})
    options = CaptureOptions(tmp_path / "photos", tmp_path / "out")
    return stage._solve(options, tmp_path / "database.db", setup, statistics)


def ring_model(angles) -> pycolmap.Reconstruction:
    return make_model(dict(zip(names_of(len(angles)), on_a_ring(angles), strict=True)))


def test_a_folded_model_gives_way_to_another_method(tmp_path, monkeypatch):
    good = ring_model(EVEN)
    solution = solve_with(tmp_path, monkeypatch, True, ring_model(EVEN % 180.0), None, good, None)
    assert (solution.method, solution.models) == ("method 2", [good])


def test_a_turn_with_few_registered_photos_is_kept_where_nothing_is_better(tmp_path, monkeypatch):
    part = ring_model(EVEN[:10])
    solution = solve_with(tmp_path, monkeypatch, True, part, None)
    assert solution.models == [part]
    assert solution.check.warnings == ("only 10 of 24 images are registered",)


def test_a_part_that_is_left_of_a_folded_walk_is_not_trusted(tmp_path, monkeypatch):
    part = ring_model(EVEN[:10])
    assert solve_with(tmp_path, monkeypatch, False, part).models == [part]
    (tmp_path / "database.db").unlink()
    with pytest.raises(CaptureError, match="only 10 of 24 images are registered"):
        solve_with(tmp_path, monkeypatch, False, ring_model(EVEN % 90.0), part)


@pytest.mark.parametrize("turntable", [False, True])
def test_where_all_fold_the_error_says_what_was_seen_and_what_to_do(turntable, tmp_path, monkeypatch):
    with pytest.raises(CaptureError) as caught:
        solve_with(tmp_path, monkeypatch, turntable, ring_model(EVEN % 90.0), None)
    said = str(caught.value)
    assert "photos: the poses cannot be true: " in said
    assert "newspaper" in said
    assert ("--setup handheld" if turntable else "--setup turntable") in said
    assert ("24 photos cover 75 degrees 4 times" in said) == turntable
