"""Reasons why images could not be registered, from statistics of the matches; directions of the cameras."""

import numpy as np
import pytest
from scenes_on_disk import ring_of_cameras

from datasets.capture.frames.frame_list import Frame
from datasets.capture.poses.diagnosis import MatchStatistics, cameras_per_sector, directions, explain_failure
from datasets.geometry.axes import level_up


def statistics(num=10, blur=0.6, features=3000, shared=200, is_video=True, gap=None) -> MatchStatistics:
    frames = [Frame(f"{i}.jpg", str(i), (640, 480), 100.0, blur) for i in range(num)]
    matches = {(i, i + 1): shared for i in range(num - 1) if i != gap}
    return MatchStatistics(frames, is_video, [features] * num, matches)


@pytest.mark.parametrize(
    ("options", "said", "unsaid"),
    [
        ({"blur": 0.9}, "10 of 10 images are blurred: hold the camera still", "texture"),
        ({"features": 150}, "only 150 features, too little texture: put the object on a newspaper", "blurred"),
        ({"shared": 20}, "share only 20 features, the camera moves too fast: film more slowly", "texture"),
        ({"gap": 3}, "no overlap between 2 groups of images (6, 4 images", "fast"),
        ({"is_video": False, "shared": 20}, "walk around the object instead of turning on the spot", "fast"),
    ],
)
def test_reasons_come_with_what_to_do(options, said, unsaid):
    explanation = explain_failure(statistics(**options))
    assert said in explanation
    assert unsaid not in explanation


def test_directions_around_the_object():
    azimuth, elevation = directions(ring_of_cameras(8))
    apart = np.exp(1j * np.radians(azimuth - np.arange(8) * 45.0))  # as angles: 360 degrees are 0
    np.testing.assert_allclose(apart, 1.0, atol=1e-8)
    np.testing.assert_allclose(elevation, np.degrees(np.arcsin(0.4)), atol=1e-6)


def test_cameras_an_equal_angle_apart_fill_the_sectors_equally():
    """Rounding puts the azimuth of the first camera on either side of 0, that of the opposite one at 180 or -180."""
    for num, each in ((12, 1), (36, 3)):
        azimuth, _ = directions(ring_of_cameras(num))
        assert cameras_per_sector(azimuth).tolist() == [each] * 12
        for rounding in (1e-12, -1e-12):
            assert cameras_per_sector(azimuth + rounding).tolist() == [each] * 12
        assert cameras_per_sector(np.append(azimuth, [180.0, -180.0]))[6] == each + 2


def test_up_is_that_of_an_arc_too():
    """Of cameras on one side that look down the mean up leans towards the object."""
    np.testing.assert_allclose(level_up(ring_of_cameras(36)[:9]), [0.0, 0.0, 1.0], atol=1e-6)
    one_place = np.repeat(ring_of_cameras(4)[:1], 3, axis=0)
    np.testing.assert_allclose(level_up(one_place), -one_place[0, :, 1])
