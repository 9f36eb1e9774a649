"""A checkpoint is whole or recognised as damaged, wherever the damage lies, and none runs code."""

import logging
import os
import random
from pathlib import Path

import pytest
import torch

from systems.runs.checkpoints import fit_training_state, read_checkpoint, read_newest, write_checkpoint
from utils.errors import CheckpointError

CONTENT = {"state_dict": {"a": torch.arange(50.0), "b": torch.ones(3, 2)}, "global_step": 7}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_checkpoint(CONTENT, tmp_path / "ckpt/epoch=0-step=7.ckpt")
    return tmp_path / "ckpt/epoch=0-step=7.ckpt"


def test_what_is_written_is_read(file: Path) -> None:
    found = read_checkpoint(file)
    assert found["global_step"] == 7
    assert torch.equal(found["state_dict"]["a"], CONTENT["state_dict"]["a"])
    assert torch.equal(torch.load(file, weights_only=True)["state_dict"]["b"], torch.ones(3, 2))
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_any_flipped_bit_is_recognised(file: Path) -> None:
    content, draw = file.read_bytes(), random.Random(0)
    seal = 17 + 64  # what else is flipped there leaves a file without a seal, and its content as it was
    for _ in range(300):
        damaged, place = bytearray(content), draw.randrange(len(content) - seal)
        damaged[place] ^= 1 << draw.randrange(8)
        file.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="checksum"):
            read_checkpoint(file)


def test_any_truncation_is_recognised(file: Path) -> None:
    content = file.read_bytes()
    for length in (*range(0, len(content) - 81, 97), len(content) - 82, len(content) - 100):
        file.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="not a readable checkpoint"):
            read_checkpoint(file)


def test_a_checkpoint_of_an_earlier_version_has_no_seal_and_is_read(tmp_path: Path) -> None:
    torch.save(CONTENT, tmp_path / "old.ckpt")
    assert read_checkpoint(tmp_path / "old.ckpt")["global_step"] == 7


class Harm:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    write_checkpoint({**CONTENT, "more": Harm(tmp_path / "made")}, tmp_path / "bad.ckpt")
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        read_checkpoint(tmp_path / "bad.ckpt")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "content",
    [[], {"state_dict": {}}, {"state_dict": [1], "global_step": 1}, {"state_dict": {"a": 1}, "global_step": 1},
     {"state_dict": {}, "global_step": "7"}],
)  # fmt: skip
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match="expected a checkpoint"):
        read_checkpoint(tmp_path / "other.ckpt")


def test_an_interrupted_write_leaves_the_file_that_was_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()

    def save(content: dict, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint(CONTENT, file)
    assert file.read_bytes() == before
    assert len(list(file.parent.iterdir())) == 1


def test_the_newest_that_is_whole_is_used(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    newer = [file.with_name(f"epoch=0-step={step}.ckpt") for step in (9, 8)]
    newer[0].write_bytes(b"")
    newer[1].write_bytes(file.read_bytes()[:-90])
    with caplog.at_level(logging.WARNING):
        path, content = read_newest([*newer, file])
    assert (path, content["global_step"]) == (file, 7)
    assert [record.getMessage().count(".ckpt") for record in caplog.records] == [2, 2]
    with pytest.raises(CheckpointError):
        read_newest(newer)


def optics(width: float, *learned: str, cameras: int = 1) -> torch.nn.Module:
    """What a training knows of its cameras."""
    system, part = torch.nn.Module(), torch.nn.Module()
    part.register_buffer("cameras", torch.tensor([[width, 30.0, 50.0, 50.0, 20.0, 15.0]] * cameras))
    for name in learned:
        part.register_parameter(name, torch.nn.Parameter(torch.zeros(cameras, 3)))
    system.optics = part
    return system


def test_a_training_goes_on_with_the_vignettes_of_the_same_cameras_alone() -> None:
    module = optics(40.0, "vignette")
    fit_training_state(optics(40.0, "vignette").state_dict(), module)
    told = "vignette of 1 camera, the first with 40 x 30 pixels"
    for other, what in (
        (optics(80.0, "vignette"), "vignette of 1 camera, the first with 80 x 30 pixels"),
        (optics(40.0, "vignette", cameras=2), "vignette of 2 cameras"),
        (optics(40.0, "vignette", "response"), "vignette and response of 1 camera"),
        (torch.nn.Module(), "has neither"),
    ):
        with pytest.raises(CheckpointError, match=what) as refused:
            fit_training_state(other.state_dict(), module)
        assert told in str(refused.value)
