"""Fixtures that all tests share; without a GPU, Triton's kernels run in its interpreter."""

import gc
import logging
import os
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch and Numba are imported: tests run side by side, and
os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # threads that share a core with others' wait for each other

import PIL.Image  # noqa: F401 before pycolmap, which corrupted the heap when it came first
import pytest
import torch

from utils.errors import MissingPackageError
from utils.packages import _NEEDED

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when triton and models.ops are imported

from models.ops import refusals
from systems.training import orbit_video


def pytest_collection_finish() -> None:
    """Garbage is sought only among what the tests make: what is imported by now is large and stays."""
    gc.collect()
    gc.freeze()


_WITHOUT_WHEEL = (*_NEEDED, "triton")  # on some machines


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Files of tests, and folders by their fixtures, are skipped where they import a package that is not there."""
    try:
        report = yield
    except SystemExit as error:  # of a script that does nothing without it
        if (name := _missing_package(error)) is None:
            raise
        report = pytest.CollectReport(collector.nodeid, "skipped", None, [])
    else:
        name = _missing_package(report.call.excinfo.value) if report.failed else None
    if name is not None:
        report.outcome, report.longrepr = "skipped", (str(collector.path), 1, f"Skipped: {name} is not installed")
    return report


def _missing_package(error: BaseException | None) -> str | None:
    """The package whose absence led to an error, if it is one that may be absent."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name in _WITHOUT_WHEEL:
            return error.name
        error = error.__cause__ or error.__context__
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    """A test of what needs a package that has no wheel for this machine is skipped, in its fixtures too."""
    try:
        return (yield)
    except MissingPackageError as error:
        pytest.skip(str(error))


pytest_runtest_call = pytest_runtest_setup  # what raises it may be the test itself


def available_devices() -> list:
    """The devices of this machine, as test parameters: the CPU, and CUDA where there is one."""
    cuda = [pytest.param("cuda", marks=pytest.mark.gpu)] if torch.cuda.is_available() else []
    return ["cpu", *cuda]


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same random numbers in each test, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """What is logged, and where to, is the business of the command that a test runs, not of the test after it."""
    names = (None, "photosurf", "datasets", "models", "systems", "utils", "scripts", "benchmarks")
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = list(logging.root.handlers)
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    for handler in [one for one in logging.root.handlers if one not in handlers]:
        if not type(handler).__module__.startswith("_pytest"):
            logging.root.removeHandler(handler)


@pytest.fixture(autouse=True)
def no_kernel_is_refused() -> Iterator[None]:
    """A kernel that does not compile is an error, although the reference would take its place."""
    yield
    refused = sorted(refusals.REFUSED)
    refusals.REFUSED.clear()
    assert refused == []


@pytest.fixture(autouse=True, scope="session")
def little_code() -> Iterator[None]:
    """A run keeps a copy of launch.py alone: all files, in some hundred folders, take half a minute to write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("systems.runs._CODE", ("launch.py",))
        yield


@pytest.fixture(autouse=True, scope="session")
def no_stage_takes_long() -> Iterator[None]:
    """A stage that a slow machine spends seconds in says nothing of it: other lines are what tests look at."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FIRST_SECONDS", "SILENT_SECONDS"):
            patch.setattr(f"utils.terminal.at_work.{name}", 3600.0)
        yield


@pytest.fixture(params=available_devices())
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each available device in turn."""
    return torch.device(request.param)


@pytest.fixture(autouse=True, scope="session")
def short_orbits() -> Iterator[None]:
    """The video of a run has a few frames: sixty take ten seconds of a CPU."""
    with pytest.MonkeyPatch.context() as patch:
        plan = orbit_video.plan_orbit
        patch.setattr(
            "systems.training.reconstruction.plan_orbit",
            lambda wanted, *rest: plan(3 if wanted is None else wanted, *rest),
        )
        yield
