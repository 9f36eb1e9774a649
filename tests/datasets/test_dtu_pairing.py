"""Which camera of the NeuS layout belongs to which image, where numbers have gaps or names tell little."""

import shutil

import numpy as np
import pytest
from scenes_on_disk import write_dtu

from tests.datasets.test_dtu import edit, load
from utils.errors import DataError


def renumber(root, numbers) -> None:
    """Gives the cameras other numbers; None: leaves one out."""

    def change(arrays):
        old = dict(arrays)
        arrays.clear()
        for before, after in enumerate(numbers):
            if after is not None:
                arrays |= {f"{kind}_mat_{after}": old[f"{kind}_mat_{before}"] for kind in ("world", "scale")}

    edit(root, change)


def remove(root, numbers) -> None:
    for i in numbers:
        (root / f"image/{i:06d}.png").unlink()
        (root / f"mask/{i:03d}.png").unlink()


def test_cameras_with_gaps_are_paired_by_number_and_that_is_said(dtu_root, caplog):
    cameras = load(dtu_root, holdout=0).c2w
    renumber(dtu_root, [0, 1, 2, None, None, 5, 6, 7, 8])
    remove(dtu_root, (3, 4))
    with caplog.at_level("INFO"):
        found = load(dtu_root, holdout=0)
    np.testing.assert_array_equal(found.c2w, np.delete(cameras, (3, 4), axis=0))
    assert caplog.text.count("7 cameras with numbers from 0 to 8 for 7 images; pairing them by number") == 1
    remove(dtu_root, (5,))  # a camera without an image, too
    np.testing.assert_array_equal(load(dtu_root, holdout=0).c2w, np.delete(cameras, (3, 4, 5), axis=0))


def test_images_whose_camera_was_taken_out_are_left_out(dtu_root, caplog):
    cameras = load(dtu_root, holdout=0).c2w
    renumber(dtu_root, [0, 1, 2, None, 4, 5, 6, 7, 8])
    np.testing.assert_array_equal(load(dtu_root, holdout=0).c2w, np.delete(cameras, 3, axis=0))
    assert "leaving out 1 image without a camera, first 000003.png" in caplog.text


def test_numbers_may_stand_in_longer_names_and_begin_anywhere(dtu_root):
    cameras = load(dtu_root, holdout=0, apply_mask=False).c2w
    renumber(dtu_root, [100 + 2 * i for i in range(9)])
    for i, path in enumerate(sorted((dtu_root / "image").iterdir())):
        path.rename(path.with_name(f"rect_{100 + 2 * i}.png"))
    np.testing.assert_array_equal(load(dtu_root, holdout=0, apply_mask=False).c2w, cameras)


def test_cameras_that_begin_at_one_are_paired_in_order(dtu_root):
    cameras = load(dtu_root, holdout=0).c2w
    renumber(dtu_root, range(1, 10))
    np.testing.assert_array_equal(load(dtu_root, holdout=0).c2w, cameras)


def test_gaps_with_names_that_do_not_tell_are_refused(dtu_root):
    renumber(dtu_root, [0, 1, 2, 5, 6, 7, 8, 9, 10])  # as many images, but 000003.png has no camera
    with pytest.raises(DataError, match=r"numbers of their cameras.*gaps from 0 to 10.*000003\.png.*world_mat_7"):
        load(dtu_root)


def test_cameras_that_are_not_normalised_are_said_to_be_so(dtu_root):
    edit(dtu_root, lambda arrays: [arrays.pop(f"scale_mat_{i}") for i in range(9)])
    with pytest.raises(DataError, match=r"expected normalised cameras, got world_mat_i without scale_mat_i"):
        load(dtu_root)


def test_masks_numbered_from_elsewhere_are_refused_and_two_masks_of_an_image_too(dtu_root):
    for i in reversed(range(9)):
        (dtu_root / f"mask/{i:03d}.png").rename(dtu_root / f"mask/{i + 1:03d}.png")
    with pytest.raises(DataError, match="numbers are off by 1: from 1 on, where the images begin with 0"):
        load(dtu_root)
    for i in range(9):
        (dtu_root / f"mask/{i + 1:03d}.png").rename(dtu_root / f"mask/{i:03d}.png")
    shutil.copy(dtu_root / "mask/002.png", dtu_root / "mask/002.jpg")
    with pytest.raises(DataError, match=r"one mask for the image, got 002\.\w+ too"):
        load(dtu_root)


def test_masks_of_no_image_are_named(dtu_root, caplog):
    shutil.copy(dtu_root / "mask/002.png", dtu_root / "mask/002_inverted.png")
    with caplog.at_level("INFO"):
        load(dtu_root)
    assert "1 of 10 masks are of no image, first 002_inverted.png" in caplog.text


def test_names_that_sort_otherwise_as_text_are_pointed_out(tmp_path, caplog):
    write_dtu(tmp_path, 11)
    assert not caplog.text
    for path in [*(tmp_path / "image").iterdir(), *(tmp_path / "mask").iterdir()]:
        path.rename(path.with_name(f"{int(path.stem)}.png"))
    load(tmp_path)
    assert "so 2.png has the camera with the place 2; sorted as text, as NeuS does, it would be 10.png" in caplog.text
