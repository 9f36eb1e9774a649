"""Whether the camera stood still is told from what surrounds the object, plain or not; a moved camera is noticed."""

import numpy as np
import pytest
from turning_scene import turntable_photos, walk_photos

from datasets.capture.setup.stillness import SMALL_SIDE, Recognition, find_positions, log_frame, recognise, still_shares


def recognised(photos: list[np.ndarray]) -> tuple[Recognition, list[int]]:
    frames = [log_frame(photo, SMALL_SIDE) for photo in photos]
    shares = still_shares(frames)
    positions = find_positions(shares)
    return recognise(frames, shares, positions), [len(part) for part in positions]


@pytest.mark.parametrize("texture", [0.0, 0.15])
def test_an_object_before_a_still_wall_turns(texture):
    found, positions = recognised(turntable_photos(texture=texture))
    assert (found.kind, found.method, positions) == ("turntable", "still border", [24])
    assert found.still_share > 0.9


@pytest.mark.parametrize("lamp", [0.0, 0.1, 0.5])
def test_a_walk_round_a_plain_desk_is_a_walk(lamp):
    found, _ = recognised(walk_photos(lamp=lamp))
    assert found.kind == "handheld"
    assert found.still_share > 0.5  # neighbours alone would not tell


def test_a_walk_round_a_plain_round_table_is_a_walk():
    found, _ = recognised(walk_photos(lamp=0.1, edge=1.1))
    assert (found.kind, found.method) == ("handheld", "moving border")
    assert found.change < 1 / 3  # dark at the top, bright at the bottom: only that the edge shifts tells


def test_a_camera_that_moves_before_texture_is_recognised():
    photos = [turntable_photos(1, shift=7 * i, seed=i, texture=0.3)[0] for i in range(12)]
    found, _ = recognised(photos)
    assert (found.kind, found.method) == ("handheld", "moving border")


def test_a_blank_border_counts_as_before():
    photos = []
    for i in range(10):
        photo = np.full((120, 160, 3), 255, np.uint8)
        photo[40:80, 60 + i : 100 + i] = 20 * i
        photos.append(photo)
    found, _ = recognised(photos)
    assert (found.kind, found.method) == ("handheld", "blank border")


@pytest.mark.parametrize("texture", [0.0, 0.15])
def test_each_position_of_the_camera_is_found(texture):
    photos = [photo for seed, shift in enumerate((0, 20, -15)) for photo in turntable_photos(12, shift, seed, texture)]
    found, positions = recognised(photos)
    assert (found.kind, positions) == ("turntable", [12, 12, 12])


def test_one_odd_photo_does_not_cut_a_turn():
    photos = turntable_photos(texture=0.15)
    photos[9] = photos[9][::-1].copy()
    assert recognised(photos)[1] == [24]


def test_frames_of_another_size_are_another_position():
    photos = turntable_photos(12) + [photo[:100] for photo in turntable_photos(12)]
    assert recognised(photos)[1] == [12, 12]
