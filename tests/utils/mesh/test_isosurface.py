"""Block-wise marching cubes finds what dense marching cubes finds, closed, from far fewer evaluations."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from utils.errors import ReconstructionError
from utils.memory import in_rows
from utils.mesh import Mesh, isosurface
from utils.mesh.marching_cubes import MARGIN
from utils.mesh.measures import signed_volume


def extract_isosurface(field, *args, **options) -> Mesh:
    """The field of these tests speaks NumPy."""
    return isosurface.extract_isosurface(lambda points: torch.from_numpy(field(points.numpy())), *args, **options)


class Counted:
    """A field that remembers how many points it was asked for, and the largest call."""

    def __init__(self, function):
        self.function, self.count, self.largest = function, 0, 0

    def __call__(self, points):
        assert points.dtype == np.float32
        assert points.shape[1:] == (3,)
        self.count += len(points)
        self.largest = max(self.largest, len(points))
        return self.function(points)


def sphere(points, radius=0.61, center=(0.03, -0.02, 0.05)):
    return np.linalg.norm(points - np.float32(center), axis=1) - np.float32(radius)


def torus(points):
    ring = np.hypot(points[:, 0], points[:, 1]) - np.float32(0.5)
    return np.hypot(ring, points[:, 2]) - np.float32(0.2)


def plate(points):
    return np.abs(points - np.float32([0, 0, 0.013])) @ np.eye(3, dtype=np.float32)[2] - np.float32(0.01)


def dense(field, radius, resolution, level=0.0) -> Mesh:
    mcubes = pytest.importorskip("mcubes", reason="PyMCubes has no wheel for this Python")
    axis = (np.arange(resolution) * (2 * radius / (resolution - 1)) - radius).astype(np.float32)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    vertices, faces = mcubes.marching_cubes(field(points).reshape((resolution,) * 3) - np.float32(level), 0.0)
    return Mesh(vertices * (2 * radius / (resolution - 1)) - radius, faces[:, ::-1].astype(np.int64))


def edge_counts(mesh: Mesh) -> np.ndarray:
    edges = np.sort(np.concatenate([mesh.faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]), axis=1)
    return np.unique(edges, axis=0, return_counts=True)[1]


def euler(mesh: Mesh) -> int:
    return len(mesh.vertices) - len(edge_counts(mesh)) + len(mesh.faces)


@pytest.mark.parametrize("resolution", [24, 49, 65, 101])
def test_sphere_equals_the_dense_result(resolution):
    mesh, expected = extract_isosurface(sphere, 1.0, resolution, 0.0, "below"), dense(sphere, 1.0, resolution)
    assert mesh.faces.shape == expected.faces.shape
    assert signed_volume(mesh) == pytest.approx(
        signed_volume(expected), rel=2e-4
    )  # PyMCubes cuts along other diagonals
    assert cKDTree(expected.vertices).query(mesh.vertices)[0].max() < 1.1 * MARGIN * 2.0 / (resolution - 1)
    assert (edge_counts(mesh) == 2).all()
    assert euler(mesh) == 2
    distances = np.linalg.norm(mesh.vertices - (0.03, -0.02, 0.05), axis=1)
    assert np.abs(distances - 0.61).max() < 0.5 * 2.0 / (resolution - 1)


@pytest.mark.parametrize("solid", ["below", "above"])
def test_faces_wind_outward(solid):
    sign = 1 if solid == "below" else -1
    mesh = extract_isosurface(lambda p: 5 + sign * sphere(p), 1.5, 50, 5.0, solid)
    assert signed_volume(mesh) == pytest.approx(4 / 3 * np.pi * 0.61**3, rel=0.02)


def test_torus_has_genus_one():
    mesh = extract_isosurface(torus, 1.0, 80, 0.0, "below")
    assert (edge_counts(mesh) == 2).all()
    assert euler(mesh) == 0


def test_a_surface_through_lattice_points_has_no_two_vertices_at_one_place():
    def octahedron(points):
        return np.abs(points).sum(axis=1) - np.float32(0.5)  # meets lattice points of a 2/64 lattice exactly

    mesh = extract_isosurface(octahedron, 1.0, 65, 0.0, "below")
    assert len(np.unique(mesh.vertices.astype(np.float32), axis=0)) == len(mesh.vertices)
    assert (edge_counts(mesh) == 2).all()
    assert euler(mesh) == 2
    assert signed_volume(mesh) == pytest.approx(4 / 3 * 0.5**3, rel=1e-3)


def test_sheets_that_touch_at_lattice_points_stay_apart():
    def lumps(points):  # often 0 or next to it
        waves = np.round(4.0 * np.sin(9.0 * points).sum(axis=1)) / 4.0
        return np.maximum(waves * np.float32(1e-3) + np.float32(1e-11), np.abs(points).max(axis=1) - np.float32(0.9))

    mesh = extract_isosurface(lumps, 1.0, 65, 0.0, "below")
    assert len(np.unique(mesh.vertices.astype(np.float32), axis=0)) == len(mesh.vertices) > 10_000
    assert (edge_counts(mesh) == 2).all()


def test_plate_thinner_than_a_coarse_cell_is_found():
    mesh = extract_isosurface(plate, 1.0, 129, 0.0, "below")  # 0.02 thick; coarse cells of 0.125
    assert mesh.faces.shape == dense(plate, 1.0, 129).faces.shape


def test_occupied_cells_name_what_a_coarse_lattice_misses():
    center = np.float32([0.31, -0.2, 0.44])
    occupied = np.zeros((32, 32, 32), bool)
    occupied[tuple(((center + 1) / 2 * 32).astype(int))] = True

    def density(points):
        return 10.0 * np.exp(-(((points - center) / 0.02) ** 2).sum(axis=1))

    with pytest.raises(ReconstructionError, match="density never crosses"):
        extract_isosurface(density, 1.0, 129, 2.0, "above")
    mesh = extract_isosurface(density, 1.0, 129, 2.0, "above", occupied=torch.from_numpy(occupied))
    np.testing.assert_allclose(mesh.vertices.mean(axis=0), center, atol=0.005)
    assert (edge_counts(mesh) == 2).all()


def test_density_is_followed_into_blocks_without_a_coarse_sign_change():
    def needle(points):  # along x, thinner than a coarse cell except for the ball at its end
        across = np.hypot(points[:, 1] - np.float32(0.06), points[:, 2] - np.float32(0.06))
        line = np.float32(0.02) - np.maximum(across, np.abs(points[:, 0]) - np.float32(0.8))
        return np.maximum(line, np.float32(0.15) - np.linalg.norm(points - np.float32([0.7, 0, 0]), axis=1))

    mesh = extract_isosurface(needle, 1.0, 129, 0.0, "above")
    assert mesh.faces.shape == dense(lambda p: -needle(p), 1.0, 129).faces.shape
    assert (edge_counts(mesh) == 2).all()


def test_rounding_that_depends_on_the_batch_does_not_tear_the_surface():
    def noisy(points):  # the same point gets another last digit in each call
        noise = np.random.default_rng(int(abs(points).sum() * 1e4)).normal(0, 0.004, len(points))
        return sphere(points) + noise.astype(np.float32)

    mesh = extract_isosurface(noisy, 1.0, 65, 0.0, "below", chunk=5000)
    assert (edge_counts(mesh) % 2 == 0).all()


def test_evaluations_are_few_and_chunked():
    counted, narrow = Counted(sphere), Counted(sphere)
    mesh = extract_isosurface(counted, 1.0, 257, 0.0, "below", chunk=30_000)
    assert counted.count < 257**3 / 2.5
    assert counted.largest <= 30_000
    assert extract_isosurface(narrow, 1.0, 257, 0.0, "below", safety=0.0).faces.shape == mesh.faces.shape
    assert narrow.count < 257**3 / 4


def test_a_lattice_is_evaluated_in_whole_rows_on_a_gpu(monkeypatch):
    sizes = []

    def field(points):
        sizes.append(len(points))
        return sphere(points)

    plain = extract_isosurface(field, 1.0, 50, 0.0, "below", chunk=999)
    assert any(size % 16 for size in sizes)
    sizes.clear()
    monkeypatch.setattr(isosurface, "in_rows", lambda num, device: in_rows(num, torch.device("cuda")))
    padded = extract_isosurface(field, 1.0, 50, 0.0, "below", chunk=999)
    assert not any(size % 16 for size in sizes)
    assert np.array_equal(plain.vertices, padded.vertices)
    assert np.array_equal(plain.faces, padded.faces)


def test_empty_sdf_says_what_it_found_and_what_to_do():
    with pytest.raises(ReconstructionError, match=r"SDF never crosses 0: .* from 0\.0.* to 1\..*vanished.*masks"):
        extract_isosurface(lambda p: np.abs(sphere(p)) + 0.01, 1.0, 33, 0.0, "below")
    with pytest.raises(ReconstructionError, match="all of the space counts as inside"):
        extract_isosurface(lambda p: sphere(p) - 9, 1.0, 33, 0.0, "below")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_reported_with_a_place(bad):
    def field(points):
        return np.where(points[:, 0] > 0.4, np.float32(bad), sphere(points))

    with pytest.raises(ReconstructionError, match=r"not finite among .* the first at \(.*\) in scene units"):
        extract_isosurface(field, 1.0, 40, 0.0, "below")
