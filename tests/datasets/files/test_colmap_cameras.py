"""Cameras and names of COLMAP models that COLMAP's own reader must not see, or reads wrongly."""

import struct

import numpy as np
import pycolmap
import pytest
from scenes_on_disk import FOCAL, HEIGHT, WIDTH, random_image, ring_of_cameras, write_colmap, write_transforms

from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.geometry.lens import Lens
from datasets.transforms import TransformsConfig, TransformsLoader
from utils.errors import DataError

CAMERAS = ring_of_cameras(4)
IMAGES = [random_image(i, 3) for i in range(4)]
UNKNOWN = "expected a camera model that pycolmap .* knows, got .*Undistort the images"


def load(root):
    return ColmapLoader(ColmapConfig(str(root), holdout=0)).load("train")


def write(root, text, model="PINHOLE", params="40 40 16 12", number=1):
    """A model whose camera is then replaced: by name in a text file, by number in a binary one."""
    write_colmap(root, CAMERAS, IMAGES, text=text)
    if text:
        (root / "sparse/0/cameras.txt").write_text(f"# cameras\n1 {model} {WIDTH} {HEIGHT} {params}\n")
    else:
        values = [float(value) for value in params.split()]
        head = struct.pack("<QIiQQ", 1, 1, number, WIDTH, HEIGHT)
        (root / "sparse/0/cameras.bin").write_bytes(head + struct.pack(f"<{len(values)}d", *values))


@pytest.mark.parametrize("text", [False, True])
def test_panoramas_are_refused_before_colmap_sees_them(tmp_path, text):
    write(tmp_path, text, "EQUIRECTANGULAR", "32 24", 17)
    with pytest.raises(DataError, match=r"camera.*360 degree panoramas.*panorama_sfm\.py"):
        load(tmp_path)


@pytest.mark.parametrize("text", [False, True])
def test_an_unknown_model_is_named_with_the_remedy(tmp_path, text):
    write(tmp_path, text, "PUSHBROOM", "32 24", 99)
    with pytest.raises(DataError, match=UNKNOWN):
        load(tmp_path)


@pytest.mark.parametrize(
    ("model", "params"), [("OPENCV", "40 40 16 12"), ("PINHOLE", "40 40 16 12 0"), ("PINHOLE", "40 40 16 x")]
)
def test_a_line_with_other_parameters_is_refused(tmp_path, model, params):
    write(tmp_path, True, model, params)
    with pytest.raises(DataError, match=r"cameras.txt, line 2: expected width, height and \d parameters"):
        load(tmp_path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_names_with_spaces_in_a_text_model(tmp_path, end):
    names = [f"a b/My scan ({i}).png" for i in range(4)]
    write_colmap(tmp_path, CAMERAS, IMAGES, names=names, text=True, points=0.1 * np.eye(3))
    path = tmp_path / "sparse/0/images.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", end.encode()))
    scene = load(tmp_path)
    assert scene.image_names == tuple(name.rpartition("/")[2] for name in names)
    for i in range(4):
        np.testing.assert_array_equal(scene.image(i), IMAGES[i])


def test_names_of_images_that_see_nothing(tmp_path):
    names = [f"My scan ({i}).png" for i in range(4)]
    write_colmap(tmp_path, CAMERAS, IMAGES, names=names, text=True)  # the lines of points are empty
    assert load(tmp_path).image_names == tuple(names)


def test_binary_files_come_first_as_colmap_reads_them(tmp_path):
    write_colmap(tmp_path, CAMERAS, IMAGES)
    (tmp_path / "sparse/0/cameras.txt").write_text("1 EQUIRECTANGULAR 32 24 32 24\n")
    assert len(load(tmp_path)) == 4


@pytest.mark.parametrize("model", ["EQUIRECTANGULAR", "spherical"])
def test_panoramas_in_transforms_json(tmp_path, model):
    write_transforms(tmp_path, CAMERAS, IMAGES, camera_model=model)
    with pytest.raises(DataError, match="360 degree panoramas"):
        TransformsLoader(TransformsConfig(str(tmp_path))).load("train")


def test_a_lens_without_focal_length_never_reaches_colmap():
    with pytest.raises(DataError, match="360 degree panoramas"):
        Lens("EQUIRECTANGULAR", (32, 16), (32.0, 16.0)).undistort(np.zeros((16, 32, 3), np.uint8), "a.png")


def test_every_other_model_of_colmap_is_undistorted():
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for name in pycolmap.CameraModelId.__members__:
        if name not in ("INVALID", "EQUIRECTANGULAR"):
            camera = pycolmap.Camera.create_from_model_name(1, name, FOCAL, WIDTH, HEIGHT)
            assert Lens(name, (WIDTH, HEIGHT), tuple(camera.params)).undistort(image, name)[0].size
