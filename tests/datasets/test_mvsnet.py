"""Raw BlendedMVS, and poses as NeuS2 writes them: the cameras that were written, and bad input."""

import json
import logging
import re
import shutil

import numpy as np
import pytest
from scenes_on_disk import FOCAL, HEIGHT, WIDTH, disc, pixels_of, random_image, ring_of_cameras, write_transforms

from datasets.mvsnet import MvsnetConfig, MvsnetLoader
from datasets.transforms import TransformsConfig, TransformsLoader
from utils.errors import DataError
from utils.images import write_png

CAMERAS = ring_of_cameras(6)
IMAGES = [random_image(i, 3) for i in range(6)]
K = np.array([[FOCAL, 0.0, WIDTH / 2], [0.0, FOCAL, HEIGHT / 2], [0.0, 0.0, 1.0]])
POINTS = np.random.default_rng(0).uniform(-0.3, 0.3, (20, 3))


@pytest.fixture
def root(tmp_path):
    """A raw BlendedMVS folder."""
    for i, (c2w, image) in enumerate(zip(CAMERAS, IMAGES, strict=True)):
        w2c = np.linalg.inv(np.vstack([c2w, [0.0, 0.0, 0.0, 1.0]]))
        rows = ["\n".join(" ".join(map(str, row)) for row in matrix) for matrix in (w2c, K)]
        (tmp_path / "cams").mkdir(exist_ok=True)
        (tmp_path / f"cams/{i:08d}_cam.txt").write_text(
            f"extrinsic\n{rows[0]}\n\nintrinsic\n{rows[1]}\n\n2.0 0.1 192 5.0\n"
        )
        write_png(tmp_path / f"blended_images/{i:08d}.png", image)
        write_png(tmp_path / f"blended_images/{i:08d}_masked.png", 0 * image)
    (tmp_path / "cams/pair.txt").write_text("6")
    return tmp_path


def load(root, **options):
    return MvsnetLoader(MvsnetConfig(str(root), holdout=0, **options)).load("train")


def expected_pixels() -> np.ndarray:
    seen = np.einsum("nji,nkj->nki", CAMERAS[:, :, :3], POINTS - CAMERAS[:, None, :, 3])
    return seen[..., :2] / seen[..., 2:] * FOCAL + [WIDTH / 2, HEIGHT / 2]


def test_cameras_and_images_come_back_without_the_masked_copies(root, caplog):
    with caplog.at_level(logging.INFO):
        scene = load(root)
    np.testing.assert_allclose(pixels_of(scene, POINTS), expected_pixels(), atol=1e-3)
    for i in range(6):
        np.testing.assert_array_equal(scene.image(i), IMAGES[i])
    assert caplog.text.count("not used: depth ranges, cams/pair.txt") == 1


def test_masks_and_other_folders(root):
    for i in range(6):
        write_png(root / f"masks/{i:08d}.png", disc())
    (root / "blended_images").rename(root / "images")
    assert load(root).has_alpha
    (root / "images").rename(root / "photos")
    assert not load(root, images_dir="photos", apply_mask=False).has_alpha
    (root / "masks/00000004.png").unlink()
    scene = load(root, images_dir="photos", masks="ignore")
    np.testing.assert_array_equal(scene.kept.reshape(6, -1)[0], disc().ravel() > 0)
    assert scene.kept.reshape(6, -1)[4].all()


def test_images_without_a_camera_are_left_out_and_that_is_said(root, caplog):
    (root / "cams/00000002_cam.txt").unlink()
    assert len(load(root)) == 5
    assert "leaving out 1 image without a *_cam.txt, first 00000002.png" in caplog.text
    shutil.rmtree(root / "cams")
    (root / "cams").mkdir()
    (root / "cams/pair.txt").write_text("6")
    with pytest.raises(DataError, match=r"expected a file NAME_cam\.txt.*00000000_cam\.txt"):
        load(root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("intrinsic\n", "inside\n"), "expected `extrinsic` with 4x4"),
        (lambda text: text.replace("extrinsic\n", "extrinsic\n9 "), "rotation is none"),
        (lambda text: text[: text.index("intrinsic") + 20], "cannot be read"),
        (lambda text: text.replace(str(FOCAL), str(-FOCAL)), "focal length is not above 0"),
        (lambda text: text.replace(f"{WIDTH / 2}", f"{2 * WIDTH}"), "principal point.*another size"),
    ],
)
def test_bad_cameras_are_refused(root, change, message):
    path = root / "cams/00000003_cam.txt"
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=f"00000003_cam.txt: .*{message}"):
        load(root)


def write_neus2(root, **shared) -> None:
    """Poses with OpenCV's axes and an intrinsic_matrix for each frame."""
    write_transforms(root, CAMERAS, IMAGES)
    meta = json.loads((root / "transforms.json").read_text())
    four = np.eye(4)
    four[:3, :3] = K
    for frame, c2w in zip(meta["frames"], CAMERAS, strict=True):
        frame["transform_matrix"] = [*c2w.tolist(), [0.0, 0.0, 0.0, 1.0]]
        frame["intrinsic_matrix"] = four.tolist()
    meta = {key: meta[key] for key in ("w", "h", "frames")} | {"from_na": True, "scale": 0.5, "offset": [0.5] * 3}
    (root / "transforms.json").write_text(json.dumps(meta | shared))


def load_transforms(root):
    return TransformsLoader(TransformsConfig(str(root), holdout=0)).load("train")


def test_poses_of_neus2_have_the_axes_of_opencv(tmp_path, caplog):
    write_neus2(tmp_path, n2w=np.eye(4).tolist(), masks="object")
    with caplog.at_level(logging.INFO):
        scene = load_transforms(tmp_path)
    np.testing.assert_allclose(pixels_of(scene, POINTS), expected_pixels(), atol=1e-3)
    assert caplog.text.count("from_na, so its poses have OpenCV's axes") == 1
    assert re.search(r"keys of its format that are not used: .*\bn2w, offset, scale\b", caplog.text)
    assert "unknown keys" not in caplog.text


@pytest.mark.parametrize("bad", [[[1, 0], [0, 1]], "wide", [[1, 5, 0], [0, 1, 0], [0, 0, 1]], [["a", 0, 0]] * 3])
def test_bad_matrices_of_neus2_are_refused(tmp_path, bad):
    write_neus2(tmp_path)
    meta = json.loads((tmp_path / "transforms.json").read_text())
    meta["frames"][2]["intrinsic_matrix"] = bad
    (tmp_path / "transforms.json").write_text(json.dumps(meta))
    with pytest.raises(DataError, match=r"002\.png': expected intrinsic_matrix to be"):
        load_transforms(tmp_path)
    write_neus2(tmp_path, from_na="yes")
    with pytest.raises(DataError, match="from_na to be true or false"):
        load_transforms(tmp_path)
