"""A small component stays where masks show that it is a part of the object, and goes otherwise."""

import numpy as np
import pytest
from analytic_shapes import Camera, cameras_around, joined, sphere_mesh

from systems.configs import ExportConfig
from systems.export.floaters import drop_small_components, masked_views
from utils.mesh import Mesh
from utils.mesh.cropping import depth_map

BALL, SMALL = sphere_mesh(3, 0.5), 320  # faces of the others
TOLERANCE = 0.01


class Photos:
    """Photographs of a mesh, with its outline as their alpha or without one."""

    def __init__(self, mesh: Mesh, has_masks: bool = True) -> None:
        self.cameras, self.mesh, self.has_masks = cameras_around(30, 4.0, size=96, angle=0.7), mesh, has_masks
        self.asked = 0

    def __len__(self) -> int:
        return len(self.cameras)

    def camera(self, index: int) -> Camera:
        return self.cameras[index]

    def photograph(self, index: int) -> np.ndarray:
        self.asked += 1
        camera = self.camera(index)
        covered = np.isfinite(depth_map(camera, camera.project(self.mesh.vertices), self.mesh.faces))
        pixels = np.full((*covered.shape, 4), 255, np.uint8)
        pixels[..., 3] *= covered
        return pixels if self.has_masks else pixels[..., :3]


def dropped(mesh: Mesh, photos: Photos, **settings: float) -> int:
    kept, number = drop_small_components(mesh, ExportConfig(**settings), lambda: photos, TOLERANCE)
    assert len(kept.faces) == len(mesh.faces) - SMALL * number
    return number


def with_ball(radius: float, *center: float) -> Mesh:
    """The large ball and a small one."""
    return joined(BALL, sphere_mesh(2, radius, center))


def test_a_part_that_has_lost_touch_stays() -> None:
    mesh = with_ball(0.06, 0.0, 0.0, 0.75)
    assert dropped(mesh, Photos(mesh)) == 0


def test_one_that_the_masks_do_not_hold_goes() -> None:
    assert dropped(with_ball(0.06, 0.0, 0.0, 0.75), Photos(BALL)) == 1


def test_one_that_is_hidden_inside_goes() -> None:
    mesh = with_ball(0.06, 0.2, 0.0, 0.0)
    assert dropped(mesh, Photos(mesh)) == 1


def test_one_goes_where_no_photograph_has_a_mask() -> None:
    mesh = with_ball(0.06, 0.0, 0.0, 0.75)
    assert dropped(mesh, Photos(mesh, has_masks=False)) == 1
    assert drop_small_components(mesh, ExportConfig(), None, TOLERANCE)[1] == 1


def test_a_speck_goes_whatever_shows_it_and_then_no_photograph_is_read() -> None:
    mesh = with_ball(0.06, 0.0, 0.0, 0.75)  # of 1.4 % of the area
    photos = Photos(mesh)
    assert dropped(mesh, photos, min_shown_component=0.02) == 1
    assert dropped(mesh, photos, min_component=0.01) == 0
    assert photos.asked == 0


def test_some_of_the_views_are_asked_from_the_first_to_the_last() -> None:
    photos = Photos(BALL)
    views = masked_views(photos)
    assert (len(views), photos.asked) == (24, 24)
    np.testing.assert_array_equal(views[0].c2w, photos.camera(0).c2w)
    np.testing.assert_array_equal(views[-1].c2w, photos.camera(29).c2w)
    grown = views[0].mask.sum() / np.count_nonzero(photos.photograph(0)[..., 3])
    assert grown == pytest.approx((30.0 / 28.0) ** 2, rel=0.15)  # by two pixels, of a radius of about 28
