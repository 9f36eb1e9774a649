"""Pictures are white where nothing is, and keep the order of depths and the direction of normals."""

import numpy as np
import pytest

from utils.visualise import depth_to_rgb, normal_to_rgb, side_by_side, taken_apart, to_uint8


def test_normals_map_to_the_colour_cube_whatever_their_length():
    normal = np.array([[[1.0, 0, 0], [0, -0.3, 0], [0, 0, 0]]])
    rgb = normal_to_rgb(normal)
    np.testing.assert_array_equal(rgb[0], [[255, 128, 128], [128, 0, 128], [255, 255, 255]])
    assert rgb.dtype == np.uint8


def test_opacity_fades_to_white():
    normal = np.tile([0.0, 0.0, -1.0], (1, 3, 1))
    blue = normal_to_rgb(normal, np.array([[0.0, 0.5, 1.0]]))[0, :, 2]
    np.testing.assert_array_equal(blue, [255, 128, 0])


def test_nearer_is_brighter_and_empty_is_white():
    depth = np.array([[1.0, 2.0, 3.0, 0.0, np.inf]])
    rgb = depth_to_rgb(depth, np.array([[1.0, 1.0, 1.0, 0.0, 1.0]]), bounds=(1.0, 3.0))
    luma = rgb[0] @ [0.299, 0.587, 0.114]
    assert luma[0] > luma[1] > luma[2]
    np.testing.assert_array_equal(rgb[0, 3:], 255)


def test_default_bounds_span_what_is_solid():
    depth = np.concatenate([np.linspace(2, 4, 100), [900.0]])[None]
    opacity = np.concatenate([np.ones(100), [0.1]])[None]
    rgb = depth_to_rgb(depth, opacity)
    np.testing.assert_array_equal(rgb[0, 0], depth_to_rgb(np.array([[0.0]]), None, (0.0, 1.0))[0, 0])
    np.testing.assert_array_equal(rgb[0, 99], depth_to_rgb(np.array([[1.0]]), None, (0.0, 1.0))[0, 0])


@pytest.mark.parametrize("depth", [np.zeros((2, 3)), np.full((2, 3), 5.0)])
def test_constant_or_empty_depth_is_no_error(depth):
    assert depth_to_rgb(depth).shape == (2, 3, 3)
    assert (depth_to_rgb(depth, np.zeros((2, 3))) == 255).all()


def test_side_by_side_mixes_types_and_heights():
    out = side_by_side([np.zeros((2, 3, 3)), np.full((4, 5), 0.5), np.full((4, 1, 3), 7, np.uint8)], gap=2)
    assert out.shape == (4, 3 + 2 + 5 + 2 + 1, 3)
    assert (out[:2, :3] == 0).all()
    assert (out[2:, :3] == 255).all()
    assert (out[:, 3:5] == 255).all()
    assert (out[:, 5:10] == 128).all()
    assert (out[:, 12] == 7).all()


@pytest.mark.parametrize("count", [1, 3, 4])
def test_a_panel_is_taken_apart_into_what_it_was_made_of(count):
    pictures = [np.full((5, 7, 3), 10 * index, np.uint8) for index in range(count)]
    found = taken_apart(side_by_side(pictures), count)
    assert all(np.array_equal(one, other) for one, other in zip(found, pictures, strict=True))


def test_to_uint8_rounds_and_clips():
    np.testing.assert_array_equal(to_uint8(np.array([-1.0, 0.5, 0.999, 2.0])), [0, 128, 255, 255])
