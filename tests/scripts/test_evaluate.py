"""The command line measures what it is asked to, writes JSON and a table, or says what is wrong in one line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scenes_on_disk import write_blender, write_dtu_truth
from shapes import ball, scanned_ball

from scripts.evaluate import main
from utils.images import write_png
from utils.mesh import Mesh
from utils.mesh.ply import write_ply

ROOT = Path(__file__).resolve().parents[2]
FEW = ["--samples", "5000", "--dense", "1"]


@pytest.fixture
def balls(tmp_path: Path) -> Path:
    for name, radius in (("gt", 1.0), ("pred", 1.1)):
        write_ply(ball(radius, 4), tmp_path / f"{name}.ply")
    return tmp_path


def mesh(folder: Path, *args: str, pred: str = "pred.ply", gt: str = "gt.ply") -> dict:
    """The JSON of a run on the two balls."""
    out = folder / "figures.json"
    files = ["--pred", str(folder / pred), "--gt", str(folder / gt), "--out", str(out)]
    assert main(["mesh", *files, *FEW, *args]) == 0
    return json.loads(out.read_text())


def test_runs_as_a_file_from_anywhere(balls: Path) -> None:
    command = [
        sys.executable,
        ROOT / "scripts/evaluate.py",
        "mesh",
        "--pred",
        "pred.ply",
        "--gt",
        "gt.ply",
        "--out",
        "-",
    ]
    done = subprocess.run([*command, *FEW], cwd=balls, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "pred.ply: compared with gt.ply\n")
    assert json.loads(done.stdout)["chamfer"] == pytest.approx(0.1, rel=0.1)


def test_mesh_prints_a_table(balls: Path, capsys: pytest.CaptureFixture) -> None:
    found = mesh(balls, "--dense", "10")
    printed = capsys.readouterr().out
    for text in ("chamfer", "F-score", "normal consistency", "components", "holes", f"{found['chamfer_permille']:.4g}"):
        assert text in printed
    assert found["chamfer"] == pytest.approx(0.1, rel=0.02)
    assert mesh(balls, "--dense", "10", "--unit-scale")["chamfer"] == pytest.approx(0.1 / np.sqrt(12), rel=0.02)


def test_other_units_are_told(balls: Path, capsys: pytest.CaptureFixture) -> None:
    for radius, is_told in ((0.3, False), (1e-3, True), (1e3, True)):
        write_ply(ball(radius, 2), balls / "other.ply")
        mesh(balls, pred="other.ply")
        assert ("as large as the truth: other units?" in capsys.readouterr().err) == is_told


@pytest.mark.parametrize("suffix", ["json", "npy", "npz"])
def test_the_prediction_is_moved_first(balls: Path, suffix: str) -> None:
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[:3, 3] = [3.0, 4.0, 5.0]
    if suffix == "json":
        (balls / "t.json").write_text(json.dumps({"transform_matrix": matrix.tolist()}))
    elif suffix == "npy":
        np.save(balls / "t.npy", matrix)
    else:
        np.savez(balls / "t.npz", scale_mat_0=matrix, world_mat_0=np.eye(4))
    small = Mesh((ball(1.1, 4).vertices - matrix[:3, 3]) / 2.0, ball(1.1, 4).faces)
    write_ply(small, balls / "small.ply")
    found = mesh(balls, "--pred-transform", str(balls / f"t.{suffix}"), "--dense", "10", pred="small.ply")
    assert found["chamfer"] == pytest.approx(0.1, rel=0.02)


def test_cameras_cull(balls: Path) -> None:
    write_blender(balls / "scene", train=5)
    cameras = ["--cameras", str(balls / "scene/transforms_train.json")]
    found = mesh(balls, *cameras, "--mask-cull", "all", "--cull-hidden-pred")
    assert found["visibility"]["cameras"] == 5
    free = mesh(balls, *cameras, "--mask-cull", "none")["visibility"]
    assert found["visibility"]["predicted_in_views"] < free["predicted_in_views"]  # masks show less than the ball
    assert 0.5 < free["true_visible"] < 1.0


def test_a_box_cuts(balls: Path) -> None:
    found = mesh(balls, "--bbox", "0", "-9", "-9", "9", "9", "9")
    assert found["samples_predicted"] == pytest.approx(2500, rel=0.1)


def test_dtu_gives_a_table_of_scans_and_their_mean(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    scan = scanned_ball()
    for number, offset in ((24, 0.5), (105, 1.0)):
        write_dtu_truth(tmp_path / "gt", number, scan)
        save = tmp_path / f"run{number}/save"
        save.mkdir(parents=True)
        shape = ball(10.0 + offset, 5)
        write_ply(Mesh(shape.vertices + np.array([12.0, -30.0, 600.0]), shape.faces), save / "it10-mc64.ply")
    runs = [f"24={tmp_path}/run24", f"105={tmp_path}/run105/save/it10-mc64.ply"]
    assert main(["dtu", "--runs", *runs, "--gt", str(tmp_path / "gt"), "--out", str(tmp_path / "all.json")]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["scan", "24", "105", "mean"]
    assert [float(row[-1]) for row in rows[1:]] == pytest.approx([0.5, 1.0, 0.75], rel=0.03)
    assert main(["dtu", "--pred", f"{tmp_path}/run24", "--scan", "24", "--gt", str(tmp_path / "gt"), "--out", "-"]) == 0
    one, both = json.loads(capsys.readouterr().out), json.loads((tmp_path / "all.json").read_text())
    assert one["scans"]["24"] == both["scans"]["24"]


def test_images_have_their_figures_and_means(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rng = np.random.default_rng(0)
    for name, shift in (("a", 5), ("b", 10), ("c", 0)):
        image = rng.integers(20, 200, (16, 16, 3)).astype(np.uint8)
        write_png(tmp_path / f"gt/{name}.png", image)
        write_png(tmp_path / f"pred/{name}.png", image + np.uint8(shift))
    argv = ["images", "--pred", str(tmp_path / "pred"), "--gt", str(tmp_path / "gt"), "--out"]
    assert main([*argv, "-"]) == 0
    figures = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)  # Infinity is no JSON
    for name, shift in (("a", 5), ("b", 10)):
        assert figures["images"][f"{name}.png"]["psnr"] == pytest.approx(20 * np.log10(255 / shift), abs=0.01)
        assert 0.9 < figures["images"][f"{name}.png"]["ssim"] < 1.0
    assert figures["images"]["c.png"]["psnr"] is None  # of equal images it has no bound
    assert main([*argv, str(tmp_path / "x.json")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[0] == "mean"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["mesh", "--pred", "none.ply", "--gt", "gt.ply"], "no such file"),
        (["mesh", "--pred", "pred.ply", "--gt", "gt.ply", "--samples", "5"], "at least 100"),
        (["mesh", "--pred", "pred.ply", "--gt", "gt.ply", "--cull-hidden-pred"], "needs --cameras"),
        (["mesh", "--pred", "pred.ply", "--gt", "gt.ply", "--cameras", "none.npz"], "no such file"),
        (["mesh", "--pred", "pred.ply", "--gt", "gt.ply", "--pred-transform", "pred.ply"], "4x4"),
        (["mesh", "--pred", "pred.ply", "--gt", "gt.ply", "--pred-transform", "skewed.json"], "similarity"),
        (["dtu", "--pred", "pred.ply", "--gt", "."], "give --pred MESH --scan N"),
        (["dtu", "--runs", "24:pred.ply", "--gt", "."], "expected N=MESH"),
        (["dtu", "--pred", "pred.ply", "--scan", "24", "--gt", "none"], "no such folder"),
        (["images", "--pred", "none", "--gt", "none"], "no such folder"),
    ],
)
def test_input_errors_are_one_line_and_exit_code_two(balls, argv, expected, capsys, monkeypatch) -> None:
    monkeypatch.chdir(balls)
    Path("skewed.json").write_text(json.dumps(np.diag([1.0, 1.0, 2.0, 1.0]).tolist()), encoding="utf-8")
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert main([*argv, "--verbose"]) == 2
    assert "Traceback" in capsys.readouterr().err
