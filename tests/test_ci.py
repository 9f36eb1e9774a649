"""The workflow of continuous integration tests each Python and system, with the commands that people use."""

import re
import tomllib

import pytest
import yaml
from page_checks import launch_problem

from utils.registry import ROOT

TEXT = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load(TEXT)
JOBS = WORKFLOW["jobs"]
MATRIX = JOBS["test"]["strategy"]["matrix"]


def commands(job: str) -> list[str]:
    return [line for step in JOBS[job]["steps"] for line in step.get("run", "").splitlines()]


def test_each_python_from_the_oldest_on_and_each_system() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = int(re.fullmatch(r">=3\.(\d+)", project["requires-python"])[1])
    assert MATRIX["python"] == [f"3.{minor}" for minor in range(oldest, oldest + len(MATRIX["python"]))]
    assert MATRIX["python"][-1] == "3.14"
    assert MATRIX["os"] == ["ubuntu-latest", "windows-latest", "macos-latest"]
    assert JOBS["test"]["strategy"]["fail-fast"] is False


def test_linux_with_wheels_is_required_and_comments_say_why_others_are_not() -> None:
    tolerated = JOBS["test"]["continue-on-error"]
    assert set(re.findall(r"'([\w.-]+)'", tolerated)) == {"ubuntu-latest", "3.13", "3.14"}
    assert set(re.findall(r"^ +# - (\w+)", TEXT, re.MULTILINE)) == {"Windows", "macOS", "Python"}


@pytest.mark.parametrize("job", JOBS)
def test_targets_of_make_exist_and_nothing_is_uploaded(job: str) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    called = {line.split()[1] for line in commands(job) if line.startswith("make ")}
    assert bool(called) == (job != "image")
    assert called <= targets
    used = {step["uses"].split("@")[0] for step in JOBS[job]["steps"] if "uses" in step}
    assert used == {"actions/checkout"} | ({"actions/setup-python"} if called else set())
    assert not any(word in line for line in commands(job) for word in ("push", "login", "upload"))
    assert WORKFLOW["permissions"] == {"contents": "read"}


def test_the_image_is_built_from_the_checkout_and_trains() -> None:
    build, *_, run, _ = commands("image")
    assert build.startswith("docker build ")
    assert build.endswith(" --tag photosurf .")
    argument = re.search(r"--build-arg (\w+)=", build)[1]
    assert argument in WORKFLOW["env"]
    assert f"ARG {argument}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    overrides = re.search(r" photosurf demo (.*)", run)[1].split()
    assert launch_problem(["--config", "configs/neus-demo.yaml", "--train", *overrides]) is None


def test_windows_runs_what_make_test_runs() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ntest:")[1].split("\n\n")[0]
    (options,) = re.findall(r"\$\(PYTEST\) (.*)", recipe)
    assert f"python -m pytest {options}" in commands("test")
    assert {"ruff check .", "ruff format --check ."} <= set(commands("test"))


@pytest.mark.parametrize("job", ["soak", "nightly"])
def test_the_long_tests_run_on_a_schedule(job: str) -> None:
    assert WORKFLOW[True]["schedule"]  # YAML 1.1 reads the key `on` as true
    assert "schedule" in JOBS[job]["if"]
    assert any(line.startswith(f"make {job}") for line in commands(job))
