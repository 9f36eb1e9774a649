"""The notebook for Colab runs from top to bottom, with and without a video, an upload and Colab itself."""

import html
import re
import sys
from pathlib import Path

import pytest
import trimesh
from notebook import (
    NOTEBOOK,
    ColabFiles,
    as_python,
    checkout,
    code_cells,
    run_cells,
    shell,
    source,
    stand_in_for_ipython,
)
from page_checks import key_problems, known_keys
from textured_scene import orbit_of_cameras, render_all

from utils.registry import ROOT
from utils.video import write_video

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Colab is Linux, and links need a permission on Windows"
)
TINY = (
    "model.num_samples_per_ray=32 model.train_num_rays=32 model.max_train_num_rays=64 model.grid_resolution=16 "
    "model.geometry.isosurface.resolution=24 trainer.log_every_n_steps=2 system.warmup_steps=2 "
    "dataset.n_test_traj_steps=0 trainer.precision=32"
)
SIX_STEPS = "trainer.max_steps=6 trainer.val_check_interval=6"
SETTINGS = {
    "DEMO_SETTINGS": f"{TINY} {SIX_STEPS} trainer.limit_val_batches=1 dataset.img_wh=[32,32] dataset.gt_mesh=null",
    "MESH_SETTINGS": "export.texture_size=64",
    "FACES": 500,
}


def test_it_is_a_notebook_of_format_4_5_without_outputs() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    assert set(NOTEBOOK) == {"nbformat", "nbformat_minor", "metadata", "cells"}
    assert NOTEBOOK["metadata"]["kernelspec"].keys() >= {"name", "display_name"}
    ids = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in ids)
    for cell in NOTEBOOK["cells"]:
        own = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | own
        assert (cell.get("execution_count"), cell.get("outputs", [])) == (None, [])
        assert all(line.endswith("\n") for line in cell["source"][:-1])
        assert len(cell["source"]) <= 20  # short


def test_what_it_names_exists() -> None:
    text = "\n".join(source(cell) for cell in NOTEBOOK["cells"])
    named = re.findall(r"\b(?:docs|configs|scripts)/[\w.-]+\.\w+", text)
    assert len(named) > 6
    assert [name for name in named if not (ROOT / name).is_file()] == []
    settings = " ".join(f"`{key}`" for key in re.findall(r"\b(?:model|export|trainer|dataset)\.[\w.]+(?==)", text))
    assert key_problems(settings, known_keys((ROOT / "docs/configs.md").read_text(encoding="utf-8"))) == []


def test_the_demo_is_that_of_make() -> None:
    (command,) = re.findall(r"python (launch\.py .*neus-demo.*)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert f"!python {command} " in "".join(source(cell) for cell in code_cells())


def test_from_the_demo_to_a_textured_mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout(tmp_path / "photosurf", monkeypatch)
    shown = stand_in_for_ipython(monkeypatch)
    names = run_cells(code_cells(without=["install"]), SETTINGS, Path=Path)
    (report,) = shown
    (page,) = re.findall(r'srcdoc="([^"]*)"', report)
    run = names["RUN"].name
    assert html.unescape(page).startswith("<!doctype html>")
    assert run in page
    mesh = trimesh.load(names["GLB"], force="mesh")
    assert 0 < len(mesh.faces) <= SETTINGS["FACES"]
    assert mesh.visual.material.baseColorTexture.size == (64, 64)


@pytest.mark.slow
def test_from_a_video_to_a_textured_mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "box.mp4", render_all(orbit_of_cameras(10, degrees=90.0)), fps=10)
    checkout(tmp_path / "photosurf", monkeypatch)
    shown = stand_in_for_ipython(monkeypatch)
    colab = ColabFiles({"my box.mp4": (tmp_path / "box.mp4").read_bytes()}, monkeypatch)
    own = f"{TINY} trainer.val_check_interval=6 dataset.img_downscale=6 dataset.holdout=9"
    settings = SETTINGS | {"NAME": "box", "STEPS": 6, "PREPARE_SETTINGS": "--keep-scene", "SETTINGS": own}
    names = run_cells(code_cells(without=["install"]), settings, Path=Path)
    assert next(path.name for path in shown if isinstance(path, Path)) == "region.png"
    assert names["RUN"].parent.name == "neus-capture-cpu-box"
    assert colab.downloaded == [str(names["GLB"])]
    assert names["GLB"].parent.parent == names["RUN"]


@pytest.mark.parametrize("chosen", [[], ["cup.mp4"], ["1.jpg", "2.jpg"]], ids=len)
def test_what_is_uploaded_is_the_input(
    chosen: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    ColabFiles(dict.fromkeys(chosen, b"content"), monkeypatch)
    cells = [cell for cell in code_cells() if cell["id"] in ("settings", "upload")]
    names = run_cells(cells, {}, Path=Path)
    folder = Path("load/cup-upload")
    assert names["INPUT"] == {0: "", 1: str(folder / "cup.mp4"), 2: str(folder)}[len(chosen)]
    assert sorted(path.name for path in folder.iterdir()) == chosen
    assert ("No input" in capsys.readouterr().out) == (not chosen)


def test_it_is_cloned_once_and_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []

    def clone(line: str) -> int:
        said.append(line)
        if line.startswith("git"):
            (Path("photosurf")).mkdir()
            Path("photosurf/launch.py").touch()
        return 0

    cells = [cell for cell in code_cells() if cell["id"] in ("settings", "helpers", "install")]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="REPOSITORY"):
        run_cells(cells, {}, _shell=clone)
    for _ in range(2):  # the second time in the folder
        run_cells(cells, {"REPOSITORY": "https://example.org/x"}, _shell=clone)
    install = "python -m pip install -q -r requirements.txt"
    assert said == ['git clone --depth 1 "https://example.org/x" photosurf', install, install]
    assert Path.cwd() == tmp_path / "photosurf"


def test_a_command_that_fails_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout(tmp_path / "photosurf", monkeypatch)
    cells = [cell for cell in code_cells() if cell["id"] in ("settings", "helpers", "demo")]
    with pytest.raises(SystemExit, match="last line says why"):
        run_cells(cells, {"DEMO_SETTINGS": "model.radios=1"})
    for cell in code_cells():
        lines = as_python(source(cell)).splitlines()
        after = [lines[i + 1].strip() for i, line in enumerate(lines) if "_shell(" in line]
        assert set(after) <= {"stop_if_failed()"}
    assert shell("python -c 'raise SystemExit(3)'") == 3
