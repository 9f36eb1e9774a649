"""Photographs become one array by way of blocks: the same pixels, and hardly more memory than these."""

import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from patience import PATIENCE

from datasets import assemble
from datasets.assemble import load_photos
from datasets.options import Resolution
from utils.errors import DataError
from utils.images import read_image, write_png
from utils.registry import ROOT

MAX_MIB = 400.0  # beyond the pixels: a block of 64 MiB twice, and what threads decode ahead, 250 at most if busy
OPENED = """
import sys
from pathlib import Path
from datasets.assemble import load_photos
from datasets.options import Resolution
from utils.images import read_image
def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name + ":")).split()[1])
before = status("VmRSS")
photos = load_photos([Path(sys.argv[1])] * 600, read_image, Resolution())
print(photos.pixels.nbytes / 2**20, (status("VmHWM") - before) / 2**10)
"""


@pytest.mark.parametrize("block", [1, 100, 2**26])
@pytest.mark.parametrize("masked", [(), (1,), (0, 4)])
def test_blocks_do_not_show(block: int, masked: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Images with and without alpha, and with alpha that says nothing."""
    monkeypatch.setattr(assemble, "BLOCK", block)
    draw = np.random.default_rng(0)
    shapes = [(4, 5, 3), (3, 2, 4), (2, 6, 4), (1, 1, 3), (4, 3, 4)]
    images = {Path(str(i)): draw.integers(0, 255, shape, dtype=np.uint8) for i, shape in enumerate(shapes)}
    for index, image in enumerate(images.values()):
        if image.shape[2] == 4 and index not in masked:
            image[..., 3] = 255
        elif index in masked and image.shape[2] == 3:
            images[Path(str(index))] = np.dstack([image, np.zeros(image.shape[:2], np.uint8)])
    photos = load_photos(list(images), images.__getitem__, Resolution())
    opaque = [np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])[..., :4] for image in images.values()]
    whole = np.concatenate([image.reshape(-1, 4) for image in opaque])
    assert np.array_equal(photos.pixels, whole if masked else whole[:, :3])
    assert photos.sizes.tolist() == photos.disk_sizes.tolist() == [[shape[1], shape[0]] for shape in shapes]


def test_the_first_broken_photograph_is_told_and_few_behind_it_are_opened() -> None:
    opened, wait = [], threading.Event()

    def read(path: Path) -> np.ndarray:
        opened.append(int(path.name))
        if path.name == "3":
            wait.wait(PATIENCE)  # until a later one has failed
            raise DataError("the first")
        if path.name == "5":
            wait.set()
            raise DataError("the second")
        return np.zeros((2, 2, 3), np.uint8)

    with pytest.raises(DataError, match="the first"):
        load_photos([Path(str(i)) for i in range(1000)], read, Resolution())
    assert len(opened) < 100


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_many_photographs_take_their_pixels_once(tmp_path: Path) -> None:
    write_png(tmp_path / "one.png", np.full((480, 640, 3), 90, np.uint8))
    command = [sys.executable, "-c", OPENED, str(tmp_path / "one.png")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    pixels, most = map(float, done.stdout.split())
    assert pixels == pytest.approx(600 * 640 * 480 * 3 / 2**20)
    assert most < pixels + MAX_MIB


def test_images_of_twelve_bits_are_told_once(tmp_path, caplog):
    values = np.random.default_rng(0).integers(0, 4096, (4, 20, 30, 3)).astype(np.uint16)
    for number, image in enumerate(values):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    paths = sorted(tmp_path.iterdir())
    for split in (paths[:3], paths[3:]):
        assert load_photos(split, read_image, Resolution()).pixels.max() < 17
    assert caplog.text.count("10 or 12 bits in files of 16") == 1
    caplog.clear()
    for path, image in zip(paths, values, strict=True):
        cv2.imwrite(str(path), 16 * image)
    load_photos(paths, read_image, Resolution())
    assert caplog.text == ""
