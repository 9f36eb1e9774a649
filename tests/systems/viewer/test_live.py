"""A training with visitors: the same weights to the bit, whatever they do; launch.py's own entry point throughout."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from patience import PATIENCE, until
from scripted_visitor import ScriptedVisitor
from sphere_scene import write_sphere_scene
from variants import QUICK, SMALL
from websockets.exceptions import ConnectionClosed

import launch
import systems
from systems.viewer import live

STEPS = 16


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sphere_scene(tmp_path_factory.mktemp("sphere"))


def train(scene: Path, out: Path, *args: str, code: int = 0) -> Path:
    """The folder of a run that ended with an exit code."""
    folders = ["--exp_dir", str(out / "exp"), "--runs_dir", str(out / "runs"), "--gpu", "cpu"]
    own = [f"dataset.root_dir={scene}", f"trainer.max_steps={STEPS}", "system.warmup_steps=5"]
    own += ["tag=t", *SMALL, *QUICK]
    assert launch.main(["--config", "configs/neus-demo.yaml", "--train", *folders, *own, *args]) == code
    return next(out.glob("exp/neus-demo/t@*"))


def weights(run: Path, step: int = STEPS) -> dict[str, torch.Tensor]:
    return torch.load(run / f"ckpt/epoch=0-step={step}.ckpt", weights_only=True)["state_dict"]


class Company:
    """A visitor in a thread of its own, there before the first step and for as long as it wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, visit: Callable[[ScriptedVisitor], None]) -> None:
        self.port, self.error = free_port(), None
        self._visit, self._thread = visit, threading.Thread(target=self._come)
        opened = live.LiveView.on_fit_start

        def open_and_wait(view: live.LiveView, *args: object) -> None:
            opened(view, *args)
            self._thread.start()
            until(lambda: len(view.mailbox) or not self._thread.is_alive())

        monkeypatch.setattr(live.LiveView, "on_fit_start", open_and_wait)

    def _come(self) -> None:
        try:
            with ScriptedVisitor(self.port) as visitor:
                visitor.stand((3.0, 0.0, 1.0))
                self._visit(visitor)
        except ConnectionClosed:
            pass  # the training was over first
        except Exception as error:
            self.error = error

    def leave(self) -> None:
        self._thread.join(PATIENCE)
        assert self.error is None, self.error


@pytest.fixture(scope="module")
def alone(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights of a training that nobody could watch."""
    return weights(train(scene, tmp_path_factory.mktemp("alone")))


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_without_view_the_library_is_not_needed(scene, tmp_path, monkeypatch):
    """Nor is it imported at the start, see test_imports."""
    monkeypatch.setattr(systems, "viewer", systems.viewer)  # what is imported anew does not stay
    for name in [name for name in sys.modules if name.startswith(("viser", "systems.viewer"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "viser", None)  # as where it is not installed
    assert weights(train(scene, tmp_path, "trainer.max_steps=3", "system.warmup_steps=1"), 3)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--view", "http"], "--view http: expected a port"),
        (["--view", "0", "--view_host", "192.0.2.1"], "cannot listen there"),
        (["--view", "--verbos"], "unknown flag"),
    ],
)
def test_a_page_that_cannot_be_is_an_error_before_anything_is_read(args, said, tmp_path, capsys):
    settings = ["--exp_dir", str(tmp_path)]
    assert launch.main(["--config", "configs/neus-demo.yaml", "--train", *settings, *args]) == 2
    assert said in capsys.readouterr().err


def test_a_missing_library_is_an_error_that_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("systems.viewer.address.find_spec", lambda name: None)
    assert launch.main(["--config", "configs/neus-demo.yaml", "--train", "--view"]) == 2
    assert capsys.readouterr().err.endswith("pip install viser\n")


def test_view_needs_a_training_and_leaves_overrides_alone(capsys):
    assert launch.main(["--resume", "RUN", "--test", "--view"]) == 2
    assert "scripts/view.py RUN" in capsys.readouterr().err
    args = launch.parse_args(["--config", "a.yaml", "--train", "--view", "model.radius=2", "seed=1"])
    assert (args.view, args.overrides) == ("", ["model.radius=2", "seed=1"])


def test_a_viewer_without_visitors_changes_no_bit(scene, alone, tmp_path):
    assert same(alone, weights(train(scene, tmp_path, "--view", str(free_port()))))


def test_a_busy_visitor_changes_no_bit(scene, alone, tmp_path, monkeypatch):
    pictures = []

    def visit(visitor: ScriptedVisitor) -> None:
        visitor.set("pause", True)  # so that the training is not over before all of this is done
        visitor.set("pause", True)  # at the first step, however slow what follows is
        visitor.set("show", "both")
        for kind in ("rgb", "normal", "depth", "error"):
            visitor.set("picture", kind)
            visitor.wait_for_picture()
            pictures.append(kind)
        visitor.set("iso level", 0.05)
        visitor.set("crop x", [0.0, 1.0])
        visitor.set("save checkpoint", True)
        visitor.value("last", lambda value: str(value).startswith("saved"))
        visitor.set("export mesh", True)
        visitor.value("last", lambda value: str(value).startswith("exported"))
        visitor.set("resume", True)
        for step in range(1000):  # between the steps that are left
            visitor.stand((3.0, 0.1 * step, 1.0))
            list(visitor.listen(0.02))

    company = Company(monkeypatch, visit)
    run = train(scene, tmp_path, "--view", str(company.port))
    company.leave()
    assert pictures == ["rgb", "normal", "depth", "error"]
    assert same(alone, weights(run))
    saved = [int(path.stem.split("step=")[1]) for path in run.glob("ckpt/*.ckpt")]
    assert len(saved) == 2
    assert list(run.glob(f"save/view-it{min(saved)}-mc32.ply"))
    assert (run / "save/metrics.json").is_file()


def test_a_saved_checkpoint_goes_on_where_it_was(scene, alone, tmp_path, monkeypatch):
    def visit(visitor: ScriptedVisitor) -> None:
        visitor.set("pause", True)
        visitor.set("save checkpoint", True)
        visitor.value("last", lambda value: str(value).startswith("saved"))

    company = Company(monkeypatch, visit)
    monkeypatch.setattr(live, "RESUME_AFTER", 0.2)
    run = train(scene, tmp_path, "--view", str(company.port))
    company.leave()
    monkeypatch.undo()
    checkpoint = min(run.glob("ckpt/*.ckpt"), key=lambda path: int(path.stem.split("step=")[1]))
    final = next(run.glob(f"ckpt/*step={STEPS}.ckpt"))
    final.unlink()
    args = ["--resume", str(checkpoint), "--gpu", "cpu", "--exp_dir", str(tmp_path / "exp")]
    assert launch.main([*args, "--runs_dir", str(tmp_path / "runs"), "--train", "export.report=false"]) == 0
    assert same(alone, weights(run))


def test_who_pauses_and_vanishes_does_not_stop_the_training(scene, alone, tmp_path, monkeypatch, capsys):
    def visit(visitor: ScriptedVisitor) -> None:
        visitor.set("pause", True)
        state = visitor.value("state", lambda value: "step" in str(value))
        assert all(told in state for told in ("loss", "psnr", "left")), state
        visitor.socket.socket.close()  # the cable is pulled: no farewell

    monkeypatch.setattr(live, "RESUME_AFTER", 0.3)
    company = Company(monkeypatch, visit)
    run = train(scene, tmp_path, "--view", str(company.port))
    assert capsys.readouterr().err.count("the last visitor has left, so the training goes on") == 1
    assert same(alone, weights(run))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can handle")
def test_a_training_that_is_paused_can_be_told_to_end(scene, tmp_path, monkeypatch):
    def visit(visitor: ScriptedVisitor) -> None:
        visitor.set("pause", True)
        button = visitor.control("pause")
        visitor.wait_for(lambda message: message.get("uuid") == button and message.get("updates") == {"visible": False})
        os.kill(os.getpid(), signal.SIGTERM)
        list(visitor.listen(PATIENCE))

    company = Company(monkeypatch, visit)
    run = train(scene, tmp_path, "--view", str(company.port), code=143)
    company.leave()
    assert len(list(run.glob("ckpt/epoch=0-step=*.ckpt"))) == 1  # of the step in which it came


def test_a_visitor_who_never_reads_is_not_waited_for(scene, alone, tmp_path, monkeypatch):
    over = threading.Event()

    def visit(visitor: ScriptedVisitor) -> None:
        visitor.control("pause")
        visitor.stand((3.0, 0.0, 1.0), size=(2000, 1500))
        over.wait(PATIENCE)  # the buffers of the connection fill

    company = Company(monkeypatch, visit)
    run = train(scene, tmp_path, "--view", str(company.port))
    over.set()
    company.leave()
    assert same(alone, weights(run))


def test_a_port_in_use_does_not_keep_a_training_from_running(scene, alone, tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = train(scene, tmp_path, "--view", str(port))
    assert f"port {port} is in use" in capsys.readouterr().err
    assert same(alone, weights(run))


def test_a_page_that_does_not_open_is_said_and_the_training_runs(scene, alone, tmp_path, monkeypatch, capsys):
    def broken(*args: object, **options: object) -> None:
        raise RuntimeError("no page today")

    monkeypatch.setattr(live, "ViserPage", broken)
    run = train(scene, tmp_path, "--view", "0")
    assert "no page today" in capsys.readouterr().err
    assert same(alone, weights(run))


def test_an_error_of_the_viewer_closes_it_and_nothing_else(scene, alone, tmp_path, monkeypatch, capsys):
    def broken(*args: object) -> None:
        raise RuntimeError("a picture that cannot be")

    monkeypatch.setattr("systems.viewer.session.render_picture", broken)
    company = Company(monkeypatch, lambda visitor: list(visitor.listen(PATIENCE)))
    run = train(scene, tmp_path, "--view", str(company.port))
    company.leave()
    assert "closed after an error of its own; the training goes on" in capsys.readouterr().err
    assert same(alone, weights(run))
