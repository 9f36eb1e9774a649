"""A set is prepared once: what is there is taken up, what is half there is made, and true masks leave cameras alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from truth_on_disk import TRUTH_FROM_OURS, write_prepared, write_set

from benchmarks.truth import preparation
from benchmarks.truth.preparation import needs_preparing, prepared_set, run_script
from utils.errors import DataError


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run; each makes what prepare.py would, in a second."""
    commands: list[list[str]] = []

    def run(command: list[str], log: Path) -> float:
        commands.append(command)
        if "--masks" not in command:
            write_prepared(Path(command[2]))
        return 1.0

    monkeypatch.setattr(preparation, "run_script", run)
    return commands


def test_a_set_is_prepared_once(tmp_path, told):
    scene, folder = write_set(tmp_path / "cup"), tmp_path / "work"
    found = prepared_set(scene, folder, None, False)
    assert told == [["scripts/prepare.py", str(scene / "images"), str(folder / "cup")]]
    assert prepared_set(scene, folder, None, False) == found
    assert len(told) == 1
    np.testing.assert_allclose(found.similarity, TRUTH_FROM_OURS, atol=1e-6)
    assert found.figures == {"prepare_seconds": 1.0, "cameras": 8, "of": 8} | {
        "centre_error_share": pytest.approx(0.0, abs=1e-6)
    }


def test_one_that_was_interrupted_goes_on(tmp_path, told):
    scene, folder = write_set(tmp_path / "cup"), tmp_path / "work"
    (folder / "cup").mkdir(parents=True)
    prepared_set(scene, folder, None, False)
    assert len(told) == 1


def test_what_was_prepared_elsewhere_is_used_as_it_is(tmp_path, told):
    scene, given = write_set(tmp_path / "cup"), tmp_path / "mine" / "cup"
    write_prepared(given)
    found = prepared_set(scene, tmp_path / "work", given, False)
    assert (found.root, told) == (given, [])
    with pytest.raises(DataError, match=r"expected what was made of .*Give another --work"):
        prepared_set(scene, tmp_path / "work", None, False)


def test_true_masks_go_into_a_copy(tmp_path, told):
    scene, folder = write_set(tmp_path / "cup"), tmp_path / "work"
    half = folder / "cup-true-masks" / "half"
    half.mkdir(parents=True)
    found = prepared_set(scene, folder, None, True)
    assert told[1][2:] == [str(folder / "cup-true-masks"), "--masks", str(scene / "gt_mask")]
    assert not half.exists()
    own, copied = (root / "sparse/0/images.bin" for root in (folder / "cup", found.root))
    assert own.read_bytes() == copied.read_bytes()
    assert prepared_set(scene, folder, None, True) == found
    assert len(told) == 2


def test_a_set_without_true_masks_is_named(tmp_path, told):
    scene = write_set(tmp_path / "cup")
    (scene / "gt_mask").rename(scene / "masks")
    with pytest.raises(DataError, match=r"cup: expected a folder gt_mask/"):
        prepared_set(scene, tmp_path / "work", None, True)


def test_a_set_without_true_cameras_has_no_way_to_a_truth(tmp_path, told):
    scene = write_set(tmp_path / "cup")
    (scene / "gt_cameras.json").unlink()
    assert prepared_set(scene, tmp_path / "work", None, False).similarity is None


def test_a_damaged_record_is_named(tmp_path, told):
    scene = write_set(tmp_path / "cup")
    found = prepared_set(scene, tmp_path / "work", None, False)
    found.record.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"cup\.json: cannot be read"):
        prepared_set(scene, tmp_path / "work", None, False)


def test_photographs_are_told_from_datasets(tmp_path):
    scene = write_set(tmp_path / "cup")
    assert needs_preparing(scene)
    (scene / "transforms.json").write_text(json.dumps({}), encoding="utf-8")
    assert not needs_preparing(scene)
    write_prepared(tmp_path / "out")
    assert not needs_preparing(tmp_path / "out")


def test_a_command_that_fails_is_told_with_its_last_lines(tmp_path):
    with pytest.raises(DataError, match=r"ended with 2.*no such file"):
        run_script(["scripts/prepare.py", str(tmp_path / "none"), str(tmp_path / "out")], tmp_path / "log")
    assert run_script(["-c", "print(1)"], tmp_path / "log") > 0.0
