"""The Dockerfile makes an image that runs: what it copies is there, its steps work in a clean environment.

No test builds the image: that needs Docker, which .github/workflows has."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from systems.runs import _CODE
from utils.registry import PACKAGES, ROOT

TEXT = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
STEPS = [line.split(maxsplit=1) for line in TEXT.replace("\\\n", " ").splitlines() if line]
SCRIPT = ROOT / "scripts" / "container.sh"
SYSTEM = ("apt-get", "useradd")  # programs that change the system, not a folder
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="the image is a Linux")


def arguments(instruction: str) -> list[str]:
    """What stands behind each line of that instruction, in order."""
    return [text for name, text in STEPS if name == instruction]


def copied() -> dict[str, str]:
    """Where in the image what is copied lies, by where it lies in the checkout."""
    found = {}
    for text in arguments("COPY"):
        *sources, target = text.split()
        found |= {name: f"{target}{Path(name).name}" if target == "./" else target for name in sources}
    return found


def test_all_that_is_copied_is_there_and_let_through() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    assert rules[0] == "*"
    assert rules[-1] == "**/__pycache__"
    assert {rule.removeprefix("!") for rule in rules[1:-1]} == set(copied())
    assert [name for name in copied() if not (ROOT / name).exists()] == []


def test_all_that_a_run_needs_is_copied() -> None:
    needed = {"launch.py", "configs", "utils", "scripts", "load/spot", *PACKAGES}
    assert needed == set(copied()) - {"requirements.txt", "LICENSE"}
    for name, target in copied().items():
        assert Path(target) == Path(name)  # paths in the image are those of a checkout


def test_its_python_has_wheels_for_everything_and_it_has_a_compiler_for_triton() -> None:
    (base,) = arguments("FROM")
    python = re.fullmatch(r"python:(3\.\d+)-slim-bookworm", base)[1]
    assert python in SpecifierSet(">=3.11,<3.13")  # where there are wheels of all packages
    (apt,) = (text for text in arguments("RUN") if text.startswith("apt-get"))
    assert {"gcc", "libc6-dev", "libgl1", "libglib2.0-0", "libxcb1"} <= set(apt.split())
    assert "-r requirements.txt" in next(text for text in arguments("RUN") if " pip " in text)


def test_its_user_is_not_root() -> None:
    (user,) = arguments("USER")
    assert user not in ("root", "0")
    assert any(re.search(rf"useradd .*\b{user}\b", text) for text in arguments("RUN"))
    after = [name for name, _ in STEPS[STEPS.index(["USER", user]) :]]
    assert after == ["USER", "ENTRYPOINT", "CMD"]


def test_its_command_is_there() -> None:
    (entry,), (folder,) = arguments("ENTRYPOINT"), arguments("WORKDIR")
    program, script = json.loads(entry)
    assert program == "sh"
    assert ROOT / Path(script).relative_to(folder) == SCRIPT
    (command,) = json.loads(arguments("CMD")[0])
    assert f"\n{command})\n" in SCRIPT.read_text(encoding="utf-8")


def run_script(data: Path, *words: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command of the image with a folder of programs in front of all others."""
    own = {"DATA": str(data), "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", str(SCRIPT), *words], env=os.environ | own, capture_output=True, text=True, check=False
    )


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with a `python` that prints its arguments, one line a call."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text('#!/bin/sh\necho "$*"\n', encoding="utf-8")
    (tmp_path / "bin" / "python").chmod(0o755)
    return tmp_path / "bin"


@on_posix
def test_demo_and_capture_are_those_of_make(tmp_path: Path, programs: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    demo, capture = (
        re.findall(rf"python (launch\.py .*{name}(?:\$\$cpu)?\.yaml --train)", makefile)[0]
        for name in ("demo", "capture")
    )
    capture = capture.replace("$$cpu", "")  # the image is for a GPU
    said = run_script(tmp_path / "data", "demo", "trainer.max_steps=5", path=programs)
    assert said.stdout == f"{demo} trainer.max_steps=5\n"
    for given in ("my cup.v2.mp4", f"{tmp_path}/data/my cup.v2.mp4"):
        said = run_script(tmp_path / "data", "capture", given, "seed=1", path=programs)
        source, out = f"{tmp_path}/data/my cup.v2.mp4", f"{tmp_path}/data/load/my cup.v2"
        prepare = f"scripts/prepare.py {source} {out}"
        assert said.stdout == f"{prepare}\n{capture} dataset.root_dir={out} seed=1\n"
    assert run_script(tmp_path / "data", "python", "launch.py", "--list", path=programs).stdout == "launch.py --list\n"
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["exp", "load", "runs"]


@on_posix
def test_what_cannot_be_done_is_told_in_a_line(tmp_path: Path, programs: Path) -> None:
    said = run_script(tmp_path / "data", "capture", path=programs)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("error: INPUT is missing")
    (tmp_path / "file").touch()
    said = run_script(tmp_path / "file", "demo", path=programs)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith(f"error: {tmp_path}/file: user {os.getuid()} cannot write there")
    assert said.stderr.count("\n") == 1


@on_posix
@pytest.mark.network
def test_its_steps_work_in_a_clean_environment(tmp_path: Path) -> None:
    """All but what Debian's programs do: the code as it is copied, the packages from wheels, a short demo."""
    image, data = tmp_path / "photosurf", tmp_path / "data"
    venv.create(tmp_path / "env", with_pip=True)
    own = {"PATH": f"{tmp_path / 'env' / 'bin'}{os.pathsep}{os.environ['PATH']}", "DATA": str(data)}
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")} | own
    image.mkdir()
    for name, text in STEPS:
        if name == "COPY":
            *sources, target = text.split()
            for source in sources:
                put(ROOT / source, image / target)
        elif name == "RUN" and not text.startswith(SYSTEM):
            subprocess.run(["sh", "-ec", text.replace("/data", str(data))], cwd=image, env=environment, check=True)
    words = [word.replace("/photosurf", str(image)) for word in json.loads(arguments("ENTRYPOINT")[0])]
    steps = ["trainer.max_steps=50", "trainer.val_check_interval=50", "system.warmup_steps=10"]
    small = ["dataset.gt_mesh=null", "dataset.img_wh=[64,64]"]
    done = subprocess.run(
        [*words, "demo", "--gpu", "cpu", *steps, *small],
        cwd=image,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (run,) = data.glob("exp/neus-demo/@*")
    assert list(run.glob("save/it50-*.ply"))
    assert {path.name for path in (run / "code").iterdir()} == set(_CODE)


def put(source: Path, target: Path) -> None:
    """Copies as COPY does: a file into a folder, the files of a folder into another."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        shutil.copy(source, target)
