"""transforms.json of instant-ngp and nerfstudio: cameras, lenses, masks, frames without image, and bad input."""

import json

import numpy as np
import pytest
import trimesh
from scenes_on_disk import FOCAL, HEIGHT, WIDTH, disc, random_image, ring_of_cameras, write_transforms

from datasets.transforms import TransformsConfig, TransformsLoader
from utils.errors import DataError
from utils.images import write_png

CAMERAS = ring_of_cameras(9)
IMAGES = [random_image(i, 3) for i in range(9)]


@pytest.fixture
def root(tmp_path):
    write_transforms(tmp_path, CAMERAS, IMAGES)
    return tmp_path


def load(root, split="train", **options):
    return TransformsLoader(TransformsConfig(str(root), **options)).load(split)


def edit(root, change) -> None:
    path = root / "transforms.json"
    meta = json.loads(path.read_text())
    change(meta)
    path.write_text(json.dumps(meta))


def in_file(scene) -> np.ndarray:
    """(N, 3) camera positions in the coordinates of the user."""
    return scene.c2w[:, :, 3] @ scene.world_from_scene[:3, :3].T + scene.world_from_scene[:3, 3]


def test_shared_and_own_intrinsics(root):
    scene = load(root, holdout=0)
    np.testing.assert_allclose(in_file(scene), CAMERAS[:, :, 3], atol=1e-5)
    np.testing.assert_allclose(scene.intrinsics[3], [FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2])
    edit(root, lambda meta: meta["frames"][3].update(fl_x=50.0, cx=15.0, w=WIDTH, h=HEIGHT))
    np.testing.assert_allclose(load(root, holdout=0).intrinsics[3], [50.0, FOCAL, 15.0, HEIGHT / 2])
    assert load(root, "test", holdout=(3, 5)).image_names == ("003.png", "005.png")


def test_the_object_is_half_as_far_as_the_nearest_camera_where_there_are_no_points(root):
    distances = np.linalg.norm(load(root).c2w[:, :, 3], axis=1)
    assert distances.min() == pytest.approx(1.0, rel=1e-4)


def test_paths_without_an_extension_find_their_image(root):
    edit(root, lambda meta: [frame.update(file_path=frame["file_path"][:-4]) for frame in meta["frames"]])
    assert len(load(root, holdout=0)) == 9


def test_a_lens_is_undistorted_and_a_fisheye_is_not_a_pinhole(root):
    edit(root, lambda meta: meta.update(k1=-0.2, k2=0.02, p1=1e-3, p2=0.0))
    distorted = load(root)
    assert distorted.sizes[0].tolist() != [WIDTH, HEIGHT]
    edit(root, lambda meta: meta.update(k1=0.0, k2=0.0, p1=0.0, camera_model="OPENCV_FISHEYE"))
    assert load(root).sizes[0].tolist() != distorted.sizes[0].tolist()
    edit(root, lambda meta: meta.update(k3=0.1, camera_model="OPENCV"))
    assert load(root).intrinsics[0, 0] == pytest.approx(FOCAL)


def test_applied_transform_leads_back_to_the_original_coordinates(root):
    applied = [[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 2.0], [0.0, 0.0, -1.0, 0.0]]
    edit(root, lambda meta: meta.update(applied_transform=applied, applied_scale=0.5))
    original = np.linalg.inv(np.vstack([0.5 * np.array(applied), [0, 0, 0, 1]]))
    expected = CAMERAS[:, :, 3] @ original[:3, :3].T + original[:3, 3]
    np.testing.assert_allclose(in_file(load(root, holdout=0)), expected, atol=1e-5)


def test_masks_come_from_the_frames_or_the_folder(root, caplog):
    for i in range(9):
        write_png(root / f"masks/{i:03d}.png", disc())
    assert load(root, holdout=0).image(4)[..., 3].tolist() == disc().tolist()
    assert not load(root, holdout=0, apply_mask=False).has_alpha
    (root / "masks").rename(root / "m")
    edit(root, lambda meta: [frame.update(mask_path=f"m/{i:03d}.png") for i, frame in enumerate(meta["frames"][:8])])
    assert load(root, holdout=0, masks="object").image_names == tuple(f"{i:03d}.png" for i in range(8))
    assert "leaving out 1 of 9 frames, which have no mask_path" in caplog.text


def test_masks_mirror_the_folders_of_several_cameras(root):
    def move(meta):
        for i, frame in enumerate(meta["frames"]):
            frame["file_path"] = f"images/cam{i % 2}/{i:03d}.png"
            (root / frame["file_path"]).parent.mkdir(exist_ok=True)
            (root / f"images/{i:03d}.png").rename(root / frame["file_path"])
            write_png(root / f"masks/cam{i % 2}/{i:03d}.png", disc())

    edit(root, move)
    assert load(root, holdout=0).image(5)[..., 3].tolist() == disc().tolist()


def test_points_of_a_cloud_set_the_size_of_the_object(root):
    points = 0.1 * np.random.default_rng(0).normal(size=(50, 3))
    trimesh.PointCloud(points).export(root / "sparse.ply")
    edit(root, lambda meta: meta.update(ply_file_path="sparse.ply"))
    scene = load(root)
    assert 0.4 < np.quantile(np.linalg.norm(scene.points, axis=1), 0.95) < 0.5
    np.testing.assert_allclose(load(root, center_est_method="point").points.mean(0), 0.0, atol=0.2)


def test_frames_without_an_image_are_left_out_and_that_is_said_once(root, caplog):
    (root / "images/002.png").unlink()
    loader = TransformsLoader(TransformsConfig(str(root), holdout=0))
    assert len(loader.load("train")) == len(loader.load("val")) == 8
    assert caplog.text.count("leaving out 1 of 9 frames, which have no image") == 1
    for path in (root / "images").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"no file for file_path 'images/000\.png'"):
        load(root)


BAD = {
    "equirectangular": (lambda meta: meta.update(camera_model="EQUIRECTANGULAR"), "panoramas.*EQUIRECTANGULAR"),
    "applied shape": (lambda meta: meta.update(applied_transform=[[1.0]]), "applied_transform to be 3x4 or 4x4"),
    "applied singular": (lambda meta: meta.update(applied_transform=np.zeros((3, 4)).tolist()), "singular"),
    "applied scale": (lambda meta: meta.update(applied_scale="big"), "applied_scale to be a number above 0, got 'big'"),
    "mask outside": (lambda meta: meta["frames"][0].update(mask_path="../m.png"), "mask_path '../m.png' leaves"),
    "no frames": (lambda meta: meta.update(frames=[]), "an empty list"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_refused(root, kind):
    change, message = BAD[kind]
    edit(root, change)
    with pytest.raises(DataError, match=message):
        load(root)


def test_a_missing_file_is_named(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"transforms\.json: no such file.*dataset\.file"):
        load(tmp_path)


def test_images_that_are_transparent_everywhere_are_refused(root):
    for path in (root / "images").iterdir():
        write_png(path, np.zeros((HEIGHT, WIDTH, 4), np.uint8))
    with pytest.raises(DataError, match=r"transparent \(alpha 0 everywhere\)"):
        load(root)
    assert not load(root, apply_mask=False).has_alpha


def test_poses_the_wrong_way_round_are_told(root, caplog):
    def change(function):
        edit(root, lambda meta: [f.update(transform_matrix=function(f["transform_matrix"])) for f in meta["frames"]])

    change(lambda matrix: np.linalg.inv(matrix).tolist())
    load(root)
    assert caplog.text.count("invert them: COLMAP") == 1


def test_a_matrix_of_three_rows_is_one_and_null_counts_as_missing(root):
    before = load(root)
    edit(root, lambda meta: [frame["transform_matrix"].pop() for frame in meta["frames"]])
    edit(root, lambda meta: meta.update(applied_transform=None, applied_scale=None))
    np.testing.assert_array_equal(load(root).c2w, before.c2w)


def test_a_key_that_is_there_twice_is_refused_unless_it_says_the_same(root):
    path = root / "transforms.json"
    path.write_text(path.read_text().replace("{", f'{{"fl_x": {FOCAL}, ', 1))
    assert len(load(root)) == 7
    path.write_text(path.read_text().replace("{", '{"fl_x": 5.0, ', 1))
    with pytest.raises(DataError, match=r"got fl_x twice, as 5\.0 and"):
        load(root)


def test_a_principal_point_in_the_corner_is_not_taken_for_the_middle(root):
    edit(root, lambda meta: meta.update(cx=0.0, cy=0.0))
    with pytest.raises(DataError, match="0, 0 is the corner of the first pixel"):
        load(root)


def test_images_that_were_converted_are_found(root, caplog):
    edit(root, lambda meta: [f.update(file_path=f["file_path"].replace(".png", ".jpg")) for f in meta["frames"]])
    with caplog.at_level("INFO"):
        assert len(load(root)) == 7
    assert "such as 'images/000.jpg'; read as images/000.png" in caplog.text


def test_pixels_that_are_far_from_square_are_told_once(root, caplog):
    edit(root, lambda meta: meta.update(fl_y=1.1 * FOCAL))
    load(root)
    assert "squeezed" not in caplog.text
    edit(root, lambda meta: meta.update(fl_y=2 * FOCAL))
    loader = TransformsLoader(TransformsConfig(str(root)))
    for split in ("train", "test"):
        loader.load(split)
    assert caplog.text.count("0.5 times as large across as down, which is right for squeezed images only") == 1


NOT_IN_PIXELS = {
    "shares": {"fl_x": 1.2, "fl_y": 1.6, "cx": 0.5, "cy": 0.5},
    "centre in shares": {"cx": 0.5, "cy": 0.5},
    "millimetres": {"fl_x": 1.5, "fl_y": 1.5},
}


@pytest.mark.parametrize("kind", NOT_IN_PIXELS)
def test_intrinsics_that_are_no_pixels_are_refused(root, kind):
    edit(root, lambda meta: meta.update(NOT_IN_PIXELS[kind]))
    with pytest.raises(DataError, match=r"principal point in pixels of 32x24 images, got fx.*Multiply"):
        load(root)


def test_a_principal_point_of_images_of_another_size_is_refused(root):
    edit(root, lambda meta: meta.update(w=2 * WIDTH, h=2 * HEIGHT))
    with pytest.raises(DataError, match=r"w and h are 64 and 48, but the principal point.*is the centre of the image"):
        load(root)
    edit(root, lambda meta: (meta.pop("w"), meta.pop("h"), meta.update(cx=float(WIDTH), cy=float(HEIGHT))))
    with pytest.raises(DataError, match=r"no w and h tell which size it is for\. Add w and h"):
        load(root)
    edit(root, lambda meta: meta.update(w=WIDTH, h=HEIGHT))  # a crop
    np.testing.assert_allclose(load(root).intrinsics[0, 2:], [WIDTH, HEIGHT])


@pytest.mark.parametrize("kind", ["transposed", "scaled"])
def test_a_matrix_that_is_transposed_or_scaled_as_a_whole_is_refused(root, kind):
    change = {"transposed": lambda matrix: matrix.T, "scaled": lambda matrix: 2.0 * matrix}[kind]

    def apply(meta):
        for frame in meta["frames"]:
            frame["transform_matrix"] = change(np.array(frame["transform_matrix"])).tolist()

    edit(root, apply)
    with pytest.raises(DataError, match=r"expected 0, 0, 0, 1 as the last row.*last column"):
        load(root)


def test_lenses_of_instant_ngp_that_cannot_be_read_are_named(root):
    for value, message in (
        ({"is_fisheye": "false"}, "is_fisheye to be true or false"),
        ({"latlong": True}, "360 degree panoramas"),
        ({"equirectangular": True}, "360 degree panoramas"),
        ({"ftheta_p0": 0.1}, "polynomial ftheta_p0"),
    ):
        path = root / "transforms.json"
        before = path.read_text()
        edit(root, lambda meta, value=value: meta.update(value))
        with pytest.raises(DataError, match=message):
            load(root)
        path.write_text(before)


def test_an_intrinsic_matrix_of_the_file_counts_for_all_frames(root):
    expected = load(root).intrinsics

    def change(meta):
        fl_x, fl_y, cx, cy = (meta.pop(key) for key in ("fl_x", "fl_y", "cx", "cy"))
        meta["intrinsic_matrix"] = [[fl_x, 0, cx], [0, fl_y, cy], [0, 0, 1]]

    edit(root, change)
    np.testing.assert_array_equal(load(root).intrinsics, expected)
