"""Figures of shapes whose distances are known; culling leaves out what no camera could have seen."""

import numpy as np
import pytest
from shapes import ball, camera, grid

from utils.errors import DataError
from utils.mesh import Mesh, join, transform
from utils.mesh.measures import face_areas
from utils.metrics.comparison import Comparison, Culling
from utils.metrics.sampling import sample_surface
from utils.metrics.surface import box_diagonal, compare_meshes

FEW = 20_000
RING = [camera(3.0 * np.array([np.cos(a), np.sin(a), 0.3]), focal=60.0) for a in np.arange(6.0)]


def moved(mesh: Mesh, shift: tuple[float, float, float]) -> Mesh:
    return Mesh(mesh.vertices + shift, mesh.faces)


def test_samples_are_uniform_by_area():
    mesh = grid(4)
    mesh = Mesh(mesh.vertices**2 * [1.0, 1.0, 0.0], mesh.faces)  # squares of different sizes
    points = sample_surface(mesh, 100_000, np.random.default_rng(0))
    share = np.bincount(points.faces, minlength=len(mesh.faces)) / len(points)
    np.testing.assert_allclose(share, face_areas(mesh) / face_areas(mesh).sum(), atol=0.005)
    np.testing.assert_allclose(points.positions[:, :2].mean(axis=0), [8, 8], rtol=0.01)
    np.testing.assert_allclose(np.histogram(points.positions[:, 0], 8, (0, 16))[0] / 1e5, 1 / 8, atol=0.005)


def test_a_larger_sphere_is_as_far_as_its_radius():
    found = compare_meshes(ball(1.1, 5), ball(1.0, 5), Comparison(FEW, dense=10))
    for name in ("accuracy", "completeness", "chamfer", "accuracy_median"):
        assert found[name] == pytest.approx(0.1, rel=0.01), name
    diagonal = 2.0 * np.sqrt(3.0)
    assert found["true_box_diagonal"] == pytest.approx(diagonal, rel=1e-3)
    assert found["chamfer_permille"] == pytest.approx(1e3 * found["chamfer"] / diagonal, rel=1e-3)
    assert found["fscore_1pct"] == 0.0
    assert found["normal_consistency"] > 0.99
    assert (found["predicted_mesh"]["components"], found["true_mesh"]["holes"]) == (1, 0)


def test_the_angle_between_normals_is_that_of_a_turned_sheet():
    sheet, turn = grid(4), np.eye(4)
    turn[1:3, 1:3] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    found = compare_meshes(transform(sheet, turn), sheet, Comparison(FEW, 1))
    assert found["normal_degrees"] == pytest.approx(np.degrees(0.1), rel=1e-6)


def test_shares_of_the_diagonal_do_not_depend_on_the_unit():
    small, large = (
        compare_meshes(ball(1.01 * s), ball(s), Comparison(FEW, dense=5, per_diagonal=True)) for s in (1.0, 250.0)
    )
    for name in ("accuracy", "chamfer", "chamfer_permille", "fscore_0.5pct", "noise_floor", "threshold_1pct"):
        assert small[name] == pytest.approx(large[name], rel=1e-6), name
    assert small["threshold_1pct"] == pytest.approx(0.01)
    assert small["chamfer_permille"] == pytest.approx(1e3 * small["chamfer"])


def test_a_perfect_mesh_is_at_the_noise_floor():
    mesh = grid(3)
    found = compare_meshes(mesh, mesh, Comparison(FEW, 1))
    assert found["noise_floor"] == pytest.approx(0.5 * np.sqrt(9.0 / FEW), rel=0.05)
    assert found["chamfer"] == pytest.approx(found["noise_floor"], rel=0.03)
    assert found["fscore_1pct"] > 0.999
    assert compare_meshes(mesh, mesh, Comparison(FEW, dense=16))["chamfer"] == pytest.approx(
        found["chamfer"] / 4, rel=0.05
    )


def test_what_is_missing_counts_as_incomplete_and_what_is_too_much_as_inaccurate():
    sheet = grid(10)
    half = Mesh(sheet.vertices, sheet.faces[(sheet.vertices[sheet.faces][..., 0] <= 5.0).all(axis=1)])
    found = compare_meshes(half, sheet, Comparison(FEW, dense=4))
    assert found["recall_1pct"] == pytest.approx(0.5 + 0.01 * box_diagonal(sheet) / 10, abs=0.01)
    assert found["precision_1pct"] > 0.99
    assert found["completeness"] == pytest.approx(0.5 * 2.5, rel=0.03)
    found = compare_meshes(join([sheet, moved(sheet, (0, 0, 100.0))]), sheet, Comparison(FEW, dense=4))
    assert found["accuracy"] == pytest.approx(50.0, rel=0.02)
    assert (found["predicted_mesh"]["components"], found["recall_1pct"]) == (2, 1.0)


def test_the_same_seed_gives_the_same_figures():
    first, again, other = (compare_meshes(ball(1.1), ball(), Comparison(2000, 1, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first["accuracy"] != other["accuracy"]


def test_hidden_truth_is_not_asked_for():
    true = join([ball(1.0, 4), ball(0.3)])  # the inner one cannot be seen
    shell = ball(1.0, 4)
    assert compare_meshes(shell, true, Comparison(FEW, 1))["recall_1pct"] < 0.95
    found = compare_meshes(shell, true, Comparison(FEW, 1, culling=Culling(RING)))
    assert found["recall_1pct"] > 0.995
    assert found["visibility"]["cameras"] == len(RING)
    assert 0.7 < found["visibility"]["true_visible"] < 1 / 1.09


def test_predicted_points_outside_of_all_images_or_masks_do_not_count():
    true, floater = ball(1.0, 4), moved(ball(0.2), (0.0, 0.0, 40.0))
    floating = join([true, floater])
    assert compare_meshes(floating, true, Comparison(FEW, 1))["accuracy"] > 1.0
    assert compare_meshes(floating, true, Comparison(FEW, 1, culling=Culling(RING)))["accuracy"] < 0.02
    beside = join([true, moved(ball(0.2), (0.0, 0.0, 1.4))])  # in the images, outside of the masks
    disc = np.hypot(*(np.mgrid[:80, :100] - np.array([40, 50])[:, None, None] + 0.5)) < 24
    masked = [type(view)(view.c2w, view.intrinsics, view.size, disc) for view in RING]
    for masks, few in (("any", True), ("all", True), ("none", False)):
        found = compare_meshes(beside, true, Comparison(FEW, 1, culling=Culling(masked, masks)))
        assert (found["precision_1pct"] > 0.98) == few, masks


def test_an_inner_shell_is_left_out_on_request():
    true = ball(1.0, 4)
    double = join([true, ball(0.8, 4)])
    assert compare_meshes(double, true, Comparison(FEW, 1, culling=Culling(RING)))["precision_1pct"] < 0.7
    found = compare_meshes(double, true, Comparison(FEW, 1, culling=Culling(RING, hidden=True)))
    assert found["precision_1pct"] > 0.995
    assert found["visibility"]["predicted_visible"] < 0.62


def test_a_box_cuts_both():
    sheet = grid(10)
    box = np.array([[0, 0, -1], [5, 10, 1.0]])
    found = compare_meshes(join([sheet, moved(sheet, (5.0, 0, 3.0))]), sheet, Comparison(FEW, 1, box=box))
    assert found["fscore_1pct"] > 0.995
    assert found["samples_true"] == pytest.approx(FEW / 2, rel=0.05)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Comparison(FEW, 1, box=np.array([[5, 5, 5], [6, 6, 6.0]])), "predicted mesh is left"),
        (Comparison(FEW, 1, culling=Culling([camera((3, 0, 0), (9, 0, 0))])), "predicted mesh is left"),
    ],
)
def test_nothing_left_is_an_error_and_not_a_nan(how, expected):
    with pytest.raises(DataError, match=expected):
        compare_meshes(ball(), ball(), how)


def test_no_truth_left_is_an_error():
    box = np.array([[4, 4, 4], [6, 6, 6.0]])
    with pytest.raises(DataError, match="ground truth is left"):
        compare_meshes(moved(ball(), (5, 5, 5)), ball(), Comparison(FEW, 1, box=box))
