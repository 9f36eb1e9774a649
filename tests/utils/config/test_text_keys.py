"""Keys that take text keep what was typed, whatever YAML would make of it."""

from pathlib import Path

import pytest

from systems.configs import Experiment, read_experiment
from systems.runs import RunFolder
from systems.runs.recorded_config import ConfigRecord, config_files
from utils.config.compose import collect
from utils.config.text_keys import text_keys

LOOKS = ["001", "1e3", "1.0", "yes", "off", "2024-01-02", "0x10", "0b1", "1_000", "null", "007.50", "inf", "nan"]


@pytest.mark.parametrize("text", LOOKS)
def test_on_the_command_line_and_in_a_file(tmp_path, text):
    typed = [f"tag={text}", f"dataset.scene=s{text}", f"dataset.root_dir={text}"]
    experiment = read_experiment(["configs/neus-demo.yaml"], typed)
    assert (experiment.tag, experiment.dataset.scene, experiment.dataset.root_dir) == (text, f"s{text}", text)
    (tmp_path / "own.yaml").write_text(f"tag: {text}\ndataset:\n  root_dir: {text}  # of the scan\n")
    written = read_experiment(["configs/neus-demo.yaml", tmp_path / "own.yaml"], [])
    assert (written.tag, written.dataset.root_dir) == (text, text)


@pytest.mark.parametrize("text", LOOKS)
def test_in_the_folder_of_the_run(tmp_path, text):
    paths, typed = ["configs/neus-demo.yaml"], [f"tag={text}"]
    sources = collect(paths, typed, text_keys(Experiment))
    run = RunFolder(tmp_path / "run")
    ConfigRecord.of(run, paths, sources, read_experiment(paths, typed)).create()
    for files in (config_files(run), [run.parsed_config]):
        assert read_experiment(files, []).tag == text


def test_null_quotes_lists_and_numbers_elsewhere():
    typed = ["dataset.scene=null", "tag='01'", "export.formats=[obj]", "dataset.gt_mesh=[001,b.ply]", "seed=007"]
    experiment = read_experiment(["configs/neus-demo.yaml"], typed)
    assert (experiment.dataset.scene, experiment.tag, experiment.seed) == (None, "01", 7)
    assert experiment.export.formats == ("obj",)
    assert experiment.dataset.gt_mesh == ("001", "b.ply")


def test_lists_in_a_file(tmp_path):
    (tmp_path / "own.yaml").write_text("dataset: {gt_mesh: [001, 1e3, no, b.ply]}\nseed: 0x10\n")
    experiment = read_experiment(["configs/neus-demo.yaml", tmp_path / "own.yaml"], [])
    assert (experiment.dataset.gt_mesh, experiment.seed) == (("001", "1e3", "no", "b.ply"), 16)


def test_the_home_folder_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan/gt_mesh.ply").write_text("")
    dataset = read_experiment(["configs/neus-demo.yaml"], ["dataset.root_dir=~/scan"]).dataset
    assert dataset.root_dir == str(tmp_path / "scan")
    assert Path(dataset.gt_mesh).expanduser().is_file()
