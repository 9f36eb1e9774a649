"""export.py writes what --test writes, without the views; it replaces nothing unasked."""

import subprocess
import sys
from pathlib import Path

import pytest
import trimesh
from sphere_scene import write_sphere_scene
from struck_runs import STEPS, run_in, start

import launch
from scripts.export import main
from systems.training.rendering import Renderer
from utils.mesh.files import read_mesh

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, whose cameras and exposures were learned too."""
    out = tmp_path_factory.mktemp("exported")
    learned = "system.exposure=true", "system.refine_poses=1.e-4", "export.formats=[obj,ply]"
    assert start(write_sphere_scene(out / "scene"), out, "tag=t", *learned) == 0
    return run_in(out)


def test_the_files_are_those_of_a_test_pass(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["export.count_views=true", "model.geometry.isosurface.resolution=24"]
    assert launch.main(["--resume", str(run), "--test", "--gpu", "cpu", *asked]) == 0
    before = (run / "save/metrics.json").read_bytes()
    monkeypatch.delattr(Renderer, "held_out")  # no view is rendered
    capsys.readouterr()
    assert main([str(run), "export.count_views=true", "--resolution", "24", "--out", str(tmp_path / "a")]) == 0
    names = [f"it{STEPS}-mc24.{name}" for name in ("obj", "ply")]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (run / "save" / name).read_bytes()
    mesh, done = capsys.readouterr().out.splitlines()
    assert mesh == f"mesh: {', '.join(str(tmp_path / 'a' / name) for name in names)}"
    assert f"{len(read_mesh(tmp_path / 'a' / names[1]).faces):,} faces" in done
    assert (run / "save/metrics.json").read_bytes() == before


def test_flags_choose_formats_and_a_texture(run: Path, tmp_path: Path) -> None:
    asked = ["--glb", "--obj", "--texture", "views", "export.texture_size=64", "--resolution", "24"]
    checkpoint = run / "ckpt" / f"epoch=0-step={STEPS}.ckpt"
    assert main([str(checkpoint), *asked, "--out", str(tmp_path)]) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"it{STEPS}-mc24.{name}" for name in ("glb", "mtl", "obj", "png")]
    assert trimesh.load(tmp_path / names[0], force="mesh").visual.material.baseColorTexture.size == (64, 64)


def test_nothing_is_replaced_unasked(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    asked = [str(run), "--obj", "--texture", "field", "export.texture_size=64", "--resolution", "24"]
    asked += ["--out", str(tmp_path)]
    for name, content in (("obj", b"my own"), ("png", b"a picture")):
        (own := tmp_path / f"it{STEPS}-mc24.{name}").write_bytes(content)
        assert main(asked) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith(f"error: {own}: exists already. ")
        assert "--overwrite" in line
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [content]  # nor is anything left beside it
        own.unlink() if name == "obj" else None
    assert main([*asked, "--overwrite"]) == 0
    assert own.read_bytes() != b"a picture"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["{run}/config"], "is a part of a run"),
        (["{run}"], "exists already"),
        (["{run}", "--resolution", "1"], "resolution"),
        (["{run}", "--ply", "--texture", "views"], "Add obj, glb or usdz"),
        (["{run}", "export.formats=[usd-of-mine]"], "usd-of-mine"),
        (["{run}", "model.geometry.mlp_network_config.sphere_init_radius=0.3"], "no effect on a trained model"),
        (["{run}", "export.min_shown_component=0", "--gpu", "9"], "--gpu 9"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_extracted(
    run: Path, args: list[str], told: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("systems.training.attempts.Job.prepare", lambda job: pytest.fail("the model was built"))
    assert main([arg.format(run=run) for arg in args]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert told in line


def test_an_unknown_folder_is_told_before_anything_is_loaded() -> None:
    command = [sys.executable, "-X", "importtime", "scripts/export.py", "nowhere"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("error: nowhere: no such file or folder.")
    assert "torch" not in {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
