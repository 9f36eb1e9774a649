"""Runs that begin in the same second have folders of their own, in --exp_dir and in --runs_dir."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from systems.configs import read_experiment
from systems.runs import RunFolder
from systems.runs.new_folder import claim_folder, own_folder
from utils.errors import ConfigError, OutputError


@pytest.fixture
def experiment(tmp_path):
    return read_experiment(["configs/neus-demo.yaml"], [f"dataset.root_dir={tmp_path}", "name=n"])


def test_of_many_at_once_each_has_its_own(tmp_path, experiment):
    with ThreadPoolExecutor(8) as pool:
        claims = [
            pool.submit(claim_folder, RunFolder(tmp_path / "exp/n/t"), experiment, tmp_path / "runs") for _ in range(8)
        ]
        found = [claim.result() for claim in claims]
    assert {run.path.name for run, _ in found} == {"t", *(f"t-{number}" for number in range(2, 9))}
    assert all(run.path.is_dir() and named.trial_name == run.path.name for run, named in found)
    assert {path.name for path in (tmp_path / "runs/n").iterdir()} == {run.path.name for run, _ in found}


def test_curves_of_another_exp_dir_are_not_written_over(tmp_path, experiment):
    claim_folder(RunFolder(tmp_path / "one/n/t"), experiment, tmp_path / "runs")
    run, _ = claim_folder(RunFolder(tmp_path / "two/n/t"), experiment, tmp_path / "runs")
    assert run.path == tmp_path / "two/n/t-2"
    assert [path.name for path in (tmp_path / "two/n").iterdir()] == ["t-2"]


def test_a_file_in_the_way_is_named_and_one_in_the_way_of_curves_is_not_minded(tmp_path, experiment):
    for name in ("exp", "runs"):
        (tmp_path / name).write_text("")
    with pytest.raises(OutputError, match="--exp_dir names another folder"):
        claim_folder(RunFolder(tmp_path / "exp/n/t"), experiment, tmp_path / "runs")
    assert claim_folder(RunFolder(tmp_path / "other/n/t"), experiment, tmp_path / "runs")[0].path.is_dir()


def test_a_folder_that_stayed_empty_goes_with_those_above_that_it_made(tmp_path, experiment):
    (tmp_path / "mine").mkdir()
    planned = RunFolder(tmp_path / "mine/exp/n/t")
    with pytest.raises(ConfigError), own_folder(planned, experiment, tmp_path / "runs", None):
        raise ConfigError("as when the weights do not fit")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]
    with own_folder(planned, experiment, tmp_path / "runs", None) as (run, _):
        (run.path / "kept").write_text("")
    assert (planned.path / "kept").is_file()


def test_a_name_that_was_asked_for_is_kept_unless_it_is_taken(tmp_path, experiment):
    run = RunFolder(tmp_path / "n/mine")
    with own_folder(run, experiment, tmp_path / "runs", "mine") as found:
        assert found == (run, experiment)
    run.create("raw", {"name": "n"})
    taken = pytest.raises(ConfigError, match=r"trial_name: .*n/mine is the folder of a run already.*--resume")
    with taken, own_folder(run, experiment, tmp_path / "runs", "mine"):
        pass
