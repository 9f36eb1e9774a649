"""Paths that were typed below the former folder of the data move with dataset.root_dir, others stay."""

import logging

import pytest

import launch
from datasets.blender import BlenderConfig
from datasets.datamodule import SceneData
from systems.configs import read_experiment
from systems.runs.moved_data import with_moved_paths
from utils.errors import DataError


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """A folder with the data at their new place, as the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new/truth").mkdir(parents=True)
    for name in ("new/truth/a.ply", "new/region.json", "elsewhere.ply"):
        (tmp_path / name).write_text("")
    return tmp_path


def keys_of(scans, text: str, *overrides: str) -> dict[str, object]:
    """The dataset of a run with these keys, after overrides."""
    lines = "".join(f"  {line}\n" for line in text.split("; "))
    (scans / "merged.yaml").write_text(f"defaults: [neus-capture]\ndataset:\n{lines}", encoding="utf-8")
    paths = [scans / "merged.yaml"]
    return vars(read_experiment(paths, with_moved_paths(paths, overrides)).dataset)


@pytest.mark.parametrize(
    "old", ["old/cup", "./old/../old/cup/", "/data/old cup", "~/old", r"C:\scans\cup", r"\\nas\scans\cup"]
)
def test_what_was_typed_below_the_old_folder_moves(scans, caplog, old):
    caplog.set_level(logging.INFO)
    separator = "\\" if "\\" in old else "/"
    mesh = separator.join([old.rstrip("/"), "truth", "a.ply"])
    found = keys_of(scans, f"root_dir: {old}; gt_mesh: {mesh}", "dataset.root_dir=new")
    assert (found["root_dir"], found["gt_mesh"]) == ("new", "new/truth/a.ply")
    assert "moved with dataset.root_dir: dataset.gt_mesh=new/truth/a.ply" in caplog.text
    found = keys_of(scans, f"root_dir: {old}; gt_mesh: [{mesh}, elsewhere.ply]", "dataset.root_dir=new")
    assert found["gt_mesh"] == ("new/truth/a.ply", "elsewhere.ply")


@pytest.mark.parametrize(
    ("text", "override", "key", "value"),
    [
        ("root_dir: old; gt_mesh: old/a.ply", "dataset.gt_mesh=mine.ply", "gt_mesh", "mine.ply"),  # said otherwise
        ("root_dir: old; gt_mesh: older/a.ply", "seed=1", "gt_mesh", "older/a.ply"),  # not below it
        ("root_dir: .; gt_mesh: elsewhere.ply", "seed=1", "gt_mesh", "elsewhere.ply"),
        ("root_dir: truth; region_file: truth/a.ply", "seed=1", "region_file", "truth/a.ply"),  # below any root
        ("root_dir: old; scene: old", "seed=1", "scene", "old"),
    ],
)
def test_what_does_not_move(scans, caplog, text, override, key, value):
    caplog.set_level(logging.INFO)
    assert keys_of(scans, text, "dataset.root_dir=new", override)[key] == value
    assert "moved" not in caplog.text


def test_a_mesh_that_stayed_behind_is_kept(scans):
    (scans / "old").mkdir()
    (scans / "old/b.ply").write_text("")
    assert keys_of(scans, "root_dir: old; gt_mesh: old/b.ply", "dataset.root_dir=new")["gt_mesh"] == "old/b.ply"


def test_only_a_run_that_goes_on_moves(scans):
    (scans / "own.yaml").write_text("defaults: [neus-capture]\ndataset: {root_dir: old, gt_mesh: old/truth/a.ply}\n")
    args = launch.parse_args(["--config", "own.yaml", "--train", "dataset.root_dir=new"])
    assert launch.load_experiment(args).dataset.gt_mesh == "old/truth/a.ply"
    (scans / "run/config").mkdir(parents=True)
    (scans / "own.yaml").rename(scans / "run/config/merged.yaml")
    (scans / "run/config/parsed.yaml").write_text("")
    args = launch.parse_args(["--resume", "run", "--test", "dataset.root_dir=new"])
    assert launch.load_experiment(args).dataset.gt_mesh == "new/truth/a.ply"


def test_a_folder_that_is_gone_is_told_before_its_mesh(tmp_path):
    config = BlenderConfig(root_dir=str(tmp_path / "gone"), gt_mesh=str(tmp_path / "gone/a.ply"))
    with pytest.raises(DataError, match=r"gone: no such folder.* as dataset\.root_dir=FOLDER"):
        SceneData(config, False, 1, "reference")
