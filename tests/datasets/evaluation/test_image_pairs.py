"""Images are paired by name and compared over the same background."""

import numpy as np
import pytest

from datasets.evaluation.image_pairs import pair_images, read_pair
from utils.errors import DataError
from utils.images import write_png


def picture(value: int, alpha: int | None = None, size: tuple[int, int] = (6, 4)) -> np.ndarray:
    image = np.full((size[1], size[0], 3), value, np.uint8)
    return image if alpha is None else np.dstack([image, np.full(size[::-1], alpha, np.uint8)])


@pytest.fixture
def folders(tmp_path):
    for number in (2, 10):
        write_png(tmp_path / "pred" / f"r_{number}.png", picture(255))
    for number in (1, 2, 10):
        write_png(tmp_path / "gt" / f"r_{number}.png", picture(0, alpha=51))
    return tmp_path / "pred", tmp_path / "gt"


def test_pairs_have_one_name_and_more_photographs_may_be_there(folders):
    assert [(a.name, b.name) for a, b in pair_images(*folders)] == [("r_2.png", "r_2.png"), ("r_10.png", "r_10.png")]
    with pytest.raises(DataError, match=r"1 of 3 images .* r_1\.png"):
        pair_images(*reversed(folders))
    with pytest.raises(DataError, match="no such folder"):
        pair_images(folders[0], folders[0] / "none")


@pytest.mark.parametrize(("background", "expected"), [(1.0, 0.8), (0.0, 0.0)])
def test_what_is_transparent_shows_the_background(folders, background, expected):
    predicted, true = read_pair(*pair_images(*folders)[0], background)
    np.testing.assert_allclose(predicted, 1.0)
    np.testing.assert_allclose(true, expected, atol=1e-6)
    assert predicted.dtype == true.dtype == np.float32


def test_sizes_have_to_agree(folders):
    write_png(folders[0] / "r_2.png", picture(255, size=(12, 8)))
    with pytest.raises(DataError, match=r"expected the size of .*, got 12x8"):
        read_pair(*pair_images(*folders)[0], 1.0)
