"""One command from a clip to a dataset that training reads, with cameras that are right; errors in one line."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest
from textured_scene import HEIGHT, WIDTH, orbit_of_cameras, render, render_all, texture

import launch
from datasets.capture.masks import carving
from datasets.colmap import ColmapConfig, ColmapLoader
from datasets.geometry.agreement import agreement
from datasets.lighting import read_lightings
from datasets.poses import look_at
from scripts.compare_cameras import main as compare
from scripts.prepare import closing_lines, main
from utils.images import read_image, write_jpeg
from utils.video import write_video

ROOT = Path(__file__).resolve().parents[2]
CAMERAS = orbit_of_cameras(16)
TINY = [
    *("model.num_samples_per_ray=64", "model.train_num_rays=32", "model.max_train_num_rays=64"),
    *("model.grid_resolution=16", "model.geometry.isosurface.resolution=24", "dataset.img_downscale=6"),
    *("trainer.max_steps=6", "trainer.log_every_n_steps=2", "trainer.val_check_interval=6", "system.warmup_steps=2"),
    *("dataset.n_test_traj_steps=0", "dataset.holdout=15"),
]


@pytest.fixture(scope="module", autouse=True)
def coarse_voxels():
    """Masks are carved from voxels of two pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(carving, "_COARSE", 32)
        patch.setattr(carving, "_FINE", 72)
        yield


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A video of the box, and what the command makes of it, into which tests must not write."""
    folder = tmp_path_factory.mktemp("capture")
    write_video(folder / "box.mp4", render_all(CAMERAS), fps=10)
    out = folder / "out"
    assert main([str(folder / "box.mp4"), str(out), "--neus", "--transforms"]) == 0
    return folder / "box.mp4", out


@pytest.fixture
def prepared(clip, tmp_path):
    """The same as a copy to change."""
    return clip[0], Path(shutil.copytree(clip[1], tmp_path / "copy"))


def cameras_of(root: Path) -> np.ndarray:
    return np.stack([view.c2w for view in ColmapLoader(ColmapConfig(str(root))).posed.views])


def test_cameras_are_those_that_the_clip_was_rendered_with(clip):
    views = ColmapLoader(ColmapConfig(str(clip[1]))).posed.views
    numbers = [int(view.image.stem) for view in views]
    assert len(numbers) >= 15
    found = agreement(np.stack([view.c2w for view in views]), CAMERAS[numbers])
    assert found.centre_errors.max() < 0.01
    assert found.rotation_errors.max() < 1.5


def test_the_report_says_what_was_found(clip):
    report = json.loads((clip[1] / "prepare/report.json").read_text(encoding="utf-8"))
    assert list(report) == ["frames", "setup", "poses", "undistort", "region", "masks", "dataset"]
    poses = report["poses"]
    assert poses["registered"] == report["undistort"]["images"] >= 15
    assert poses["reprojection_error"] < 1.0
    assert 3 <= poses["sectors"] <= 6  # 120 degrees
    assert 20.0 < poses["elevation_degrees"][0] < poses["elevation_degrees"][1] < 45.0
    assert report["region"]["points_inside"] > 50


def test_the_end_names_what_to_look_at_and_the_config_for_this_machine(clip, monkeypatch):
    shown, command = closing_lines(clip[1]).splitlines()
    assert shown.startswith(f"look at: {clip[1] / 'region.png'} (the region that is reconstructed)")
    assert (f"{clip[1] / 'masks.png'} (the masks)" in shown) == (clip[1] / "masks.png").is_file()
    for has_gpu, config in ((False, "neus-capture-cpu"), (True, "neus-capture")):
        monkeypatch.setattr("torch.cuda.is_available", lambda has_gpu=has_gpu: has_gpu)
        command = closing_lines(clip[1]).splitlines()[-1]
        assert (
            command == f"train with: python launch.py --config configs/{config}.yaml --train dataset.root_dir={clip[1]}"
        )


def test_other_layouts_are_filled(clip):
    num = len(cameras_of(clip[1]))
    assert len(list((clip[1] / "neus/image").iterdir())) == num
    assert len(json.loads((clip[1] / "transforms.json").read_text(encoding="utf-8"))["frames"]) == num


def test_a_second_call_does_nothing_and_a_scale_only_what_follows(clip, prepared, capsys):
    source, out = prepared
    before = cameras_of(out)
    assert main([str(source), str(out), "--neus", "--transforms"]) == 0
    assert capsys.readouterr().err.count("unchanged, skipped") == 7
    assert main([str(source), str(out), "--scale", "0.5"]) == 0
    assert capsys.readouterr().err.count("unchanged, skipped") == 3  # frames, setup and poses
    after = cameras_of(out)
    regions = [json.loads((path / "region.json").read_text(encoding="utf-8")) for path in (clip[1], out)]
    assert [region["metres_per_unit"] for region in regions] == [None, 1.0]
    np.testing.assert_allclose(after[:, :, 3], 0.5 * before[:, :, 3], atol=1e-9)
    np.testing.assert_allclose(after[:, :, :3], before[:, :, :3], atol=1e-9)
    assert not (out / "neus").exists()


def test_training_reads_it_as_it_is(clip, tmp_path):
    config = str(ROOT / "configs/neus-capture-cpu.yaml")
    arguments = ["--config", config, "--train", "--gpu", "cpu", f"dataset.root_dir={clip[1]}", *TINY]
    assert launch.main([*arguments, "--exp_dir", str(tmp_path / "exp"), "--runs_dir", str(tmp_path / "runs")]) == 0
    assert list(tmp_path.glob("exp/*/*/ckpt/*.ckpt"))


def test_an_object_that_turns_before_a_still_wall_has_cameras_round_it(tmp_path):
    turn = np.arange(18) * 2.0 * np.pi / 18
    spots = np.stack([1.9 * np.cos(turn), 1.9 * np.sin(turn), np.full(18, 1.5)], axis=1)
    cameras = np.stack([look_at(spot, np.array([0.0, 0.0, 0.45]), np.array([0.0, 0.0, 1.0])) for spot in spots])
    wall = 150.0 + 0.3 * cv2.resize(texture(9), (2 * WIDTH, 2 * HEIGHT))  # alone it would hold the cameras together
    for i, camera in enumerate(cameras):
        write_jpeg(tmp_path / f"photos/{i:02d}.jpg", render(camera, wall))
    assert (
        main([str(tmp_path / "photos"), str(tmp_path / "out"), "--camera-model", "SIMPLE_PINHOLE", "--keep-scene"]) == 0
    )
    report = json.loads((tmp_path / "out/prepare/report.json").read_text(encoding="utf-8"))
    assert (report["setup"]["kind"], report["setup"]["positions"]) == ("turntable", [18])
    assert report["poses"]["check"]["contradicting_neighbours"] == 0
    views = ColmapLoader(ColmapConfig(str(tmp_path / "out"))).posed.views
    assert len(views) == 18
    assert agreement(np.stack([view.c2w for view in views]), cameras).centre_errors.max() < 0.02
    (lighting,) = read_lightings(tmp_path / "out/lighting.json")
    assert sorted(lighting.images) == [view.image.name for view in views]
    away = np.stack([view.c2w[:, 2] for view in views])  # an axis about which all cameras look down alike
    assert np.ptp(away @ lighting.axis) < 0.05


def test_photos_of_two_sizes_have_two_cameras(tmp_path):
    for i, view in enumerate(render_all(CAMERAS[::2])):
        write_jpeg(tmp_path / f"photos/{i}.jpg", view[: 180 - 20 * (i % 2)])
    assert (
        main([str(tmp_path / "photos"), str(tmp_path / "out"), "--camera-model", "SIMPLE_PINHOLE", "--keep-scene"]) == 0
    )
    model = pycolmap.Reconstruction(tmp_path / "out/sparse/0")
    assert model.num_reg_images() == 8
    assert sorted(camera.height for camera in model.cameras.values()) == [160, 180]
    assert read_image(tmp_path / "out/images/1.jpg").shape[0] == 160


def test_photos_that_have_nothing_in_common_are_explained(tmp_path, capsys):
    random = np.random.default_rng(0)
    for i in range(4):
        write_jpeg(tmp_path / f"photos/{i}.jpg", random.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    assert main([str(tmp_path / "photos"), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"error: {tmp_path / 'photos'}: COLMAP registered none of the images. Why: ")
    assert "no overlap between 4 groups" in said
    assert not (tmp_path / "out/poses").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.mp4", "out"], "nowhere.mp4: no such file or folder"),
        ([".", "."], "INPUT and OUT are the same folder"),
        ([".", "out", "--frames", "1"], "--frames 1: chooses frames of a video"),
        ([".", "out"], "got none. Put the images there"),
    ],
)
def test_errors_are_one_line(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("no image")
    assert main(arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert said in error


def test_folders_are_compared(clip, tmp_path, capsys):
    assert compare([str(clip[1]), str(clip[1])]) == 0
    assert "centre, % of the radius: mean 0.000" in capsys.readouterr().out
    assert compare([str(clip[1]), str(tmp_path)]) == 2
    assert "error: " in capsys.readouterr().err
