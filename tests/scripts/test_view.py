"""view.py shows a run whatever is said of it, and says what is wrong with what it is given."""

import socket
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from patience import PATIENCE, until
from scripted_visitor import ScriptedVisitor
from viewed_scene import make_viewed_model
from websockets.exceptions import ConnectionClosed

from scripts.view import main
from systems.runs import RunFolder
from utils import registry
from utils.config import schema


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two checkpoints, of which the second has a larger sphere."""
    folder = tmp_path_factory.mktemp("viewed")
    subject = make_viewed_model(folder)
    found = RunFolder(folder / "neus-demo" / "t@1")
    found.parsed_config.parent.mkdir(parents=True)
    found.ckpt.mkdir()
    config = OmegaConf.to_yaml(schema.to_dict(subject.experiment))
    found.parsed_config.write_text(config, encoding="utf-8")
    system = registry.build(subject.experiment.system, subject.experiment, subject.model, found.save)
    for step in (100, 200):
        torch.save({"state_dict": system.state_dict(), "global_step": step}, found.ckpt / f"epoch=0-step={step}.ckpt")
    return found.path


class Viewing:
    """view.py in a thread of its own."""

    def __init__(self, *args: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.stop, self.code = threading.Event(), None
        self._thread = threading.Thread(target=self._view, args=[[*args, "--port", str(self.port), "--gpu", "cpu"]])
        self._thread.start()

    def _view(self, args: list[str]) -> None:
        self.code = main(args, self.stop)

    def __enter__(self) -> ScriptedVisitor:
        """A visitor who comes again as a browser does: whoever comes before the server is guarded is sent away."""
        found = []

        def is_heard() -> bool:
            try:
                found.append(ScriptedVisitor(self.port))
                found[-1].stand((3.0, 0.0, 1.0))
                found[-1].control("state")
                found[-1].wait_for_picture()  # whoever sees one is not sent away any more
            except (OSError, ConnectionClosed):
                return False
            return True

        until(is_heard)
        return found[-1]

    def __exit__(self, *args: object) -> None:
        self.stop.set()
        self._thread.join(PATIENCE)
        assert self.code == 0


def test_the_newest_checkpoint_is_shown_and_others_may_be_chosen(run: Path, capsys: pytest.CaptureFixture) -> None:
    with Viewing(str(run)) as visitor:
        assert visitor.value("state", lambda value: "step=200.ckpt" in str(value))
        visitor.set("checkpoint", 0)
        assert visitor.value("state", lambda value: "step=100.ckpt" in str(value))
        visitor.wait_for_picture()
        visitor.set("export mesh", True)
        said = visitor.value("last", lambda value: str(value).startswith("exported"))
        assert "view-it100-mc64.ply" in said
        with pytest.raises(TimeoutError):
            visitor.control("pause", 0.2)  # nothing is trained
    assert (run / "save" / "view-it100-mc64.ply").is_file()
    out = capsys.readouterr()
    assert "Ctrl+C ends it" in out.out
    assert "Traceback" not in out.err


def test_one_checkpoint_may_be_named(run: Path) -> None:
    with Viewing(str(run / "ckpt" / "epoch=0-step=100.ckpt")) as visitor:
        assert visitor.value("state", lambda value: "step=100.ckpt" in str(value))


def test_a_checkpoint_that_is_broken_is_said_and_the_old_one_stays(run: Path) -> None:
    broken = run / "ckpt" / "epoch=0-step=50.ckpt"
    broken.write_bytes(b"nothing")
    try:
        with Viewing(str(run)) as visitor:
            visitor.set("checkpoint", 0)
            assert "not a readable checkpoint" in visitor.value("last", lambda value: "checkpoint" in str(value))
            visitor.set("export mesh", True)
            assert "view-it200-" in visitor.value("last", lambda value: str(value).startswith("exported"))
    finally:
        broken.unlink()


def test_a_visitor_is_told_when_it_ends(run: Path) -> None:
    viewing = Viewing(str(run))
    with viewing as visitor:
        visitor.wait_for_picture()
    with pytest.raises(ConnectionClosed):
        list(visitor.listen(PATIENCE))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["{run}/config"], "is a part of a run. Give the run's folder"),
        (["{run}", "--port", "http"], "expected a port"),
        (["{run}", "--host", "192.0.2.1"], "cannot listen there"),
        (["{run}", "dataset.root_dir=nowhere"], "nowhere"),
        (["{run}", "model.radios=1"], "model.radios"),
    ],
)
def test_bad_input_is_one_line(run: Path, args: list[str], said: str, capsys: pytest.CaptureFixture) -> None:
    assert main([arg.format(run=run) for arg in args]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert said in error
    assert np.char.count(error, "\n") == 0
