"""What a visitor sees is what validation sees, in the right place, at the right depth; nothing in the model changes."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from viewed_scene import FRONT, make_viewed_model

from systems.steps.step import view_background
from systems.training.evaluation import evaluate_view
from systems.viewer.photos import downscaled, nearest_view, sample_photo
from systems.viewer.pictures import DARK_PAGE, EMPTY_DEPTH, RenderedPicture, camera_rays, clip_to_box, render_picture
from systems.viewer.requests import CameraState, CropBox
from utils.visualise import to_uint8


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    return make_viewed_model(tmp_path_factory.mktemp("viewed"))


@pytest.fixture(scope="module")
def background(subject):
    return view_background(subject.experiment.model, subject.device)


def photo_camera(scene, index: int) -> CameraState:
    width, height = scene.sizes[index].tolist()
    return CameraState(
        scene.c2w[index].astype(float), 2 * np.arctan(0.5 * height / scene.intrinsics[index, 1]), (width, height)
    )


def test_from_where_a_photograph_was_taken_it_is_the_validation_view(subject, background):
    with torch.no_grad():
        view = evaluate_view(subject.model, subject.views("train").image(3, background), (64, 64))
        seen = render_picture(subject.model, background, subject.scene, photo_camera(subject.scene, 3), "rgb", (64, 64))
    assert np.abs(seen.image.astype(int) - to_uint8(view.rgb)).max() <= 2
    assert seen.image.std() > 5


@pytest.mark.parametrize("kind", ["rgb", "normal", "depth"])
def test_on_a_dark_page_only_what_is_empty_is_dark(subject, background, kind):
    args = subject.model, background, subject.scene, FRONT, kind, FRONT.size
    with torch.no_grad():
        light, dark = (render_picture(*args, dark=dark) for dark in (False, True))
    assert (light.image[0, 0].tolist(), dark.image[0, 0].tolist()) == ([255] * 3, [DARK_PAGE] * 3)
    np.testing.assert_array_equal(light.depth, dark.depth)
    changed = np.abs(light.image.astype(int) - dark.image).max(axis=2)
    solid = cv2.erode((light.depth < EMPTY_DEPTH).astype(np.uint8), np.ones((5, 5))) > 0
    assert solid.any()
    assert np.median(changed[solid]) <= 2


def test_the_depth_is_that_along_the_viewing_axis(subject, background):
    with torch.no_grad():
        depth = render_picture(subject.model, background, subject.scene, FRONT, "depth", FRONT.size).depth
    assert depth[0, 0] == EMPTY_DEPTH
    row, column = np.nonzero(depth < EMPTY_DEPTH)
    fx, fy, cx, cy = FRONT.intrinsics(FRONT.size)
    plane = np.stack([(column + 0.5 - cx) / fx, (row + 0.5 - cy) / fy, np.ones(len(row))], axis=1)
    points = (depth[row, column][:, None] * plane) @ FRONT.c2w[:, :3].T + FRONT.c2w[:, 3]
    sdf = subject.model.field_value(torch.from_numpy(points.astype(np.float32))).abs()
    assert float(sdf.detach().median()) < 0.03


def test_a_box_cuts_the_scene(subject, background):
    box = CropBox((0.0, -2.0, -2.0), (2.0, 2.0, 2.0))
    with torch.no_grad():
        whole = render_picture(subject.model, background, subject.scene, FRONT, "normal", FRONT.size)
        half = render_picture(subject.model, background, subject.scene, FRONT, "normal", FRONT.size, box)
        none = replace(box, low=(1.5, 1.5, 1.5))
        empty = render_picture(subject.model, background, subject.scene, FRONT, "rgb", FRONT.size, none)
    assert (half.depth[:, :31] == EMPTY_DEPTH).all()
    right = (slice(None), slice(40, None))  # of the cut by more than the depth of the surface is soft
    assert np.median(np.abs(half.depth[right] - whole.depth[right])) < 0.01
    assert (half.depth[right] < EMPTY_DEPTH).any()
    assert (empty.image == 255).all()


def test_rays_along_a_face_of_the_box_are_cut_too():
    rays = camera_rays(FRONT, (3, 3), torch.inf, torch.zeros(3))
    box = CropBox((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
    cut = clip_to_box(rays, box)
    assert_allclose(cut.near[4], 2.0)
    assert_allclose(cut.far[4], 4.0)
    assert torch.isfinite(cut.near).all()


def test_the_error_is_against_the_nearest_photograph(subject, background):
    camera = photo_camera(subject.scene, 5)
    with torch.no_grad():
        rgb = render_picture(subject.model, background, subject.scene, camera, "rgb", (64, 64)).image
        seen = render_picture(subject.model, background, subject.scene, camera, "error", (64, 64))
    truth = downscaled(subject.scene, 5, 64, np.ones(3))
    solid = seen.depth < EMPTY_DEPTH
    # A camera that is right projects each point to the pixel that it came from.
    error = np.abs(truth.astype(float) - rgb).mean(axis=-1) / 255.0
    expected = cv2.applyColorMap(to_uint8(error / 0.25), cv2.COLORMAP_INFERNO)[..., ::-1]
    apart = np.abs(seen.image[solid].astype(int) - expected[solid]).max(axis=-1)
    assert seen.compared_with == 5
    assert np.mean(apart < 10) > 0.9
    assert (seen.image[~solid] == 255).all()


def test_a_photograph_tells_the_colour_of_a_point_in_frame(subject):
    scene = subject.scene
    front = 0.5 * scene.c2w[2, :, 3] / np.linalg.norm(scene.c2w[2, :, 3])
    colors, inside = sample_photo(scene, 2, np.stack([front, -100.0 * front, 100.0 * front]), 64, np.ones(3))
    assert inside.tolist() == [True, True, False]  # the last one lies behind the camera
    assert_allclose(colors[0] / 255.0, 0.5 + 0.4 * 2.0 * front, atol=0.05)  # how the sphere is painted


def test_the_nearest_camera_looks_the_same_way_too(subject):
    for index in (0, 7, 19):
        assert nearest_view(subject.scene, photo_camera(subject.scene, index)) == index


def test_rendering_leaves_random_numbers_and_the_model_alone(subject, background):
    before = {name: value.clone() for name, value in subject.model.state_dict().items()}
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    with torch.no_grad():
        for kind in ("rgb", "normal", "depth", "error"):
            render_picture(
                subject.model, background, subject.scene, FRONT, kind, (32, 24), CropBox((0, 0, 0), (1, 1, 1))
            )
    assert torch.equal(torch_state, torch.random.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])
    assert all(torch.equal(before[name], value) for name, value in subject.model.state_dict().items())


def test_a_density_has_pictures_too(tmp_path):
    subject = make_viewed_model(tmp_path, "dataset.scene=s", "model.radius=1.1", config="nerf-blender")
    background = view_background(subject.experiment.model, subject.device)
    with torch.no_grad():
        found = [
            render_picture(subject.model, background, subject.scene, FRONT, kind, (16, 12)).image
            for kind in ("rgb", "normal", "depth", "error")
        ]
    assert np.array_equal(found[0], found[1])
    assert all(image.shape == (12, 16, 3) for image in found)


@pytest.mark.parametrize(
    ("seconds", "said"), [(1e-4, "32 × 20, 6.4 M rays/s"), (0.1, "32 × 20, 6.4 k rays/s"), (2.0, "32 × 20, 320 rays/s")]
)
def test_a_picture_says_how_large_it_is_and_how_fast_it_was(seconds, said):
    picture = RenderedPicture(np.zeros((20, 32, 3), np.uint8), np.zeros((20, 32), np.float32), seconds=seconds)
    assert picture.described == said
