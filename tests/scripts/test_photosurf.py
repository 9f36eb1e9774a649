"""photosurf opens the doors to the same functions; pip install puts it where nothing of others is in the way."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from scripts import capture, completion, photosurf, prepare
from systems.runs import _CODE
from utils.registry import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DEMO = ["--config", "neus-demo", f"dataset.root_dir={ROOT / 'load' / 'spot'}"]


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["photosurf"])


@pytest.mark.parametrize("name", photosurf.COMMANDS)
def test_each_command_shows_its_own_help(name: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        photosurf.main([name, "--help"])
    assert ended.value.code == 0
    program = "launch.py" if name in ("train", "demo") else f"photosurf {name}"
    assert capsys.readouterr().out.startswith(f"usage: {program} ")


@pytest.mark.parametrize(
    ("words", "module", "given"),
    [
        ("train neus-demo trainer.max_steps=9", "launch", "--train --config neus-demo trainer.max_steps=9"),
        ("train a b.yaml --gpu cpu", "launch", "--train --config a b.yaml --gpu cpu"),
        ("train --resume RUN --test", "launch", "--resume RUN --test"),
        ("demo tag=x", "launch", " ".join(["--train", *DEMO, "tag=x"])),
        ("prepare a.mp4 OUT", "scripts.prepare", "a.mp4 OUT"),
        ("export RUN --glb", "scripts.export", "RUN --glb"),
        ("view RUN", "scripts.view", "RUN"),
        ("evaluate mesh --pred A --gt B", "scripts.evaluate", "mesh --pred A --gt B"),
        ("sweep a.yaml", "scripts.sweep", "a.yaml"),
        ("compare A B", "scripts.compare", "A B"),
        ("scale-sheet s.pdf", "scripts.scale_sheet", "s.pdf"),
        ("capture a.mp4", "scripts.capture", "a.mp4"),
    ],
)
def test_each_command_is_the_main_of_its_file(
    words: str, module: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    got = []
    monkeypatch.setattr(importlib.import_module(module), "main", lambda argv: got.append(argv) or 7)
    assert photosurf.main(words.split()) == 7
    assert got == [given.split()]
    assert sys.argv[1:] == given.split()


def test_the_version_is_that_of_the_project(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        photosurf.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"photosurf {PROJECT['project']['version']}, Python 3.")


def test_a_flag_in_place_of_a_command_is_told(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        photosurf.main(["--versoin"])
    assert ended.value.code == 2
    assert "'--versoin': unknown flag. Did you mean '--version'?" in capsys.readouterr().err


def test_an_unknown_command_is_told(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        photosurf.main(["trian"])
    assert ended.value.code == 2
    assert "'trian'" in capsys.readouterr().err


def test_shipped_configs_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    dumped = []
    for config in ("neus-demo", "configs/neus-demo.yaml"):
        assert photosurf.main(["train", config, "--dump"]) == 0
        dumped.append(capsys.readouterr().out)
    (tmp_path / "neus-demo").write_text("defaults: [base/trainer, base/neus]\nname: mine\n", encoding="utf-8")
    assert photosurf.main(["train", "neus-demo", "dataset.name=blender", "dataset.root_dir=.", "--dump"]) == 0
    assert capsys.readouterr().out.startswith("name: mine")  # one's own comes first
    assert dumped[0] == dumped[1]
    assert dumped[0].startswith("name: neus-demo")
    assert photosurf.main(["train", "neus-dmo"]) == 2


class ReplacedError(Exception):
    """This process would be another one."""


def test_capture_prepares_and_then_trains(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    prepared, codes = [], [2, 0, 0, 0]
    monkeypatch.setattr(prepare, "main", lambda argv: prepared.append(argv) or codes.pop(0))

    def become(command: list[str]) -> None:
        raise ReplacedError(command)

    monkeypatch.setattr(capture, "become", become)
    assert capture.main(["clips/cup.mp4"]) == 2  # as prepare.py, which has said why
    with pytest.raises(ReplacedError) as told:
        capture.main(["clips/cup.mp4", "--frames", "50", "export.texture=views", "--gpu", "cpu"])
    launch = [sys.executable, str(ROOT / "launch.py"), "--config", "neus-capture", "--train", "--gpu", "cpu"]
    assert told.value.args[0] == [*launch, "dataset.root_dir=load/cup", "export.texture=views"]
    assert "dataset: load/cup" in capsys.readouterr().out
    with pytest.raises(ReplacedError) as told:
        capture.main(["--config", "neus-capture-cpu", "up", "--masks", "rembg", "down", "--out", "cup"])
    assert told.value.args[0][2:4] == ["--config", "neus-capture-cpu"]
    assert prepared[1:] == [
        ["clips/cup.mp4", "--frames", "50", "--", "load/cup"],
        ["up", "--masks", "rembg", "down", "--", "cup"],
    ]
    args = prepare.prepare_parser().parse_intermixed_args(prepared[-1])
    assert ([*map(str, args.inputs)], str(args.out), args.masks) == (["up", "down"], "cup", "rembg")
    with pytest.raises(ReplacedError):
        capture.main(["up", "--known-length", "1", "--between", "a:1,1", "b:1,1", "--and", "a:2,2", "b:2,2"])
    args = prepare.prepare_parser().parse_intermixed_args(prepared[-1])
    assert (str(args.out), args.and_) == ("load/up", ["a:2,2", "b:2,2"])  # which would take any word behind it


@pytest.mark.skipif(sys.platform == "win32", reason="os.execv ends the process there and leaves another")
def test_the_training_takes_the_place_of_the_process() -> None:
    code = "from scripts.capture import become; import os, sys; print(os.getpid()); "
    code += "become([sys.executable, '-c', 'import os; print(os.getpid()); raise SystemExit(3)'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    before, after = done.stdout.split()
    assert (before == after, done.returncode) == (True, 3)


COMPLETED = [
    ("ex", ["export"]),
    ("export --te", ["--texture"]),
    ("export RUN --texture v", ["views"]),
    ("train neus-cap", ["neus-capture", "neus-capture-cpu"]),
    ("train --config neus-dem", ["neus-demo"]),
    ("capture cup.mp4 --fra", ["--frames"]),
    ("evaluate im", ["images"]),
    ("completion z", ["zsh"]),
]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_words_are_completed(tmp_path: Path) -> None:
    (file := tmp_path / "completion").write_text(completion.script(), encoding="utf-8")
    lines = [f"source {file}"]
    for words, _ in COMPLETED:
        count = len(words.split())
        lines.append(f"COMP_WORDS=(photosurf {words}); COMP_CWORD={count}; _photosurf; echo ${{COMPREPLY[@]}}")
    done = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.stderr == ""
    assert [line.split() for line in done.stdout.splitlines()] == [expected for _, expected in COMPLETED]


def shipped() -> set[str]:
    """The files that the wheel has, by the patterns of pyproject.toml."""
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["photosurf_files"]
    found = {path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()}
    return {path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts} | {"launch.py"}


def test_all_that_a_run_needs_is_shipped() -> None:
    needed = [ROOT / name for name in (*_CODE, "configs", "utils", "datasets", "models", "systems", "scripts")]
    files = {file for top in needed for file in ([top] if top.is_file() else top.rglob("*")) if file.is_file()}
    names = {file.relative_to(ROOT).as_posix() for file in files if "__pycache__" not in file.parts}
    assert names - shipped() == {"scripts/container.sh"}
    assert not [name for name in shipped() if fnmatch(name, "tests/*") or fnmatch(name, "exp/*")]
    door = PROJECT["project"]["scripts"]["photosurf"]
    assert door == "photosurf_files.scripts.photosurf:main"


class Installed:
    """photosurf beside the packages that the tests run with, and a folder from which it is called."""

    def __init__(self, folder: Path) -> None:
        source, self.target, self.away = (folder / name for name in ("source", "target", "away"))
        for name in [*shipped(), "pyproject.toml", "requirements.txt", "README.md", "LICENSE"]:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)  # pip builds in the folder itself
        options = ["--no-deps", "--no-build-isolation", "--no-compile", "--disable-pip-version-check", "-q"]
        command = [sys.executable, "-m", "pip", "install", *options, "--target", self.target, source]
        subprocess.run(command, check=True)
        self.away.mkdir()

    def __call__(self, *words: str) -> str:
        command = [sys.executable, str(self.target / "bin" / "photosurf"), *words]
        environment = os.environ | {"PYTHONPATH": str(self.target)}
        done = subprocess.run(command, cwd=self.away, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    pytest.importorskip("setuptools")
    return Installed(tmp_path_factory.mktemp("installed"))


@pytest.mark.slow
def test_it_is_installed_in_a_folder_of_its_own(installed: Installed, capsys: pytest.CaptureFixture) -> None:
    assert {path.name.split("-")[0] for path in installed.target.iterdir()} == {"bin", "photosurf_files", "photosurf"}
    own = installed.target / "photosurf_files"
    assert {path.relative_to(own).as_posix() for path in own.rglob("*") if path.is_file()} == shipped()
    dump = "train", "neus-demo", "dataset.gt_mesh=null", "--dump"
    found = installed(*dump)
    assert photosurf.main([*dump]) == 0
    assert found == capsys.readouterr().out


@pytest.mark.nightly
def test_an_installed_photosurf_trains_and_exports(installed: Installed) -> None:
    tiny = ["trainer.max_steps=4", "system.warmup_steps=2", "model.max_train_num_rays=48", "dataset.img_wh=[16,16]"]
    tiny += ["model.geometry.isosurface.resolution=24", "trainer.enable_progress_bar=false", "export.report=false"]
    installed("demo", "--gpu", "cpu", *tiny, "tag=t")
    (run,) = (installed.away / "exp" / "neus-demo").iterdir()
    assert json.loads((run / "save" / "metrics.json").read_text())["steps"] == 4
    installed("export", str(run), "--glb", "--gpu", "cpu")
    assert (run / "save" / "it4-mc24.glb").is_file()
    installed("evaluate", "mesh", "--pred", str(run), "--gt", str(run / "save" / "it4-mc24.ply"), "--samples", "200")
