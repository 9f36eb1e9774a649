"""Runs an unmodified checkout of instant-nsr-pl beside our own launch.py: same scene, same views, same machine."""

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import progress, rounded
from systems.configs import Experiment
from utils import registry
from utils.errors import ConfigError
from utils.registry import ROOT

POLL = 0.5  # seconds between two looks at a log that is being written
STEADY = 500  # steps that do not count for the time per step, where there are more


def their_config(checkout: Path, config: str) -> str:
    """The config of the checkout that has the name of ours, relative to it. Raises ConfigError."""
    if not (checkout / "launch.py").is_file():
        raise ConfigError(f"--against {checkout}: no launch.py in it. Give the folder of an instant-nsr-pl checkout.")
    name = Path(config).name
    if not (checkout / "configs" / name).is_file():
        known = ", ".join(sorted(path.name for path in (checkout / "configs").glob("*.yaml")))
        raise ConfigError(f"--against {checkout}: no configs/{name} in it, to stand beside {config}. It has {known}.")
    return f"configs/{name}"


def their_overrides(experiment: Experiment, overrides: Sequence[str]) -> list[str]:
    """What makes their run that of our experiment: scene, image size, steps and seed; every other setting is theirs.

    The image size is told because their configs fix it; images are taken to be of one size."""
    loader = registry.build(experiment.dataset)
    root = Path(experiment.dataset.root_dir).resolve()
    found = [item for item in overrides if item.startswith("dataset.") and not item.startswith("dataset.root_dir=")]
    found += [
        f"dataset.root_dir={root}",
        f"trainer.max_steps={experiment.trainer.max_steps}",
        f"seed={experiment.seed}",
    ]
    given = any(item.startswith(("dataset.img_wh=", "dataset.img_downscale=")) for item in found)
    if not given and hasattr(experiment.dataset, "img_wh"):
        width, height = loader.load("test").sizes[0].tolist()
        found.append(f"dataset.img_wh=[{width},{height}]")
    return found


def run_against(
    checkout: Path,
    python: str,
    experiment: Experiment,
    config: str,
    overrides: Sequence[str],
    device_index: str,
    deadline: float | None,
) -> dict[str, Any]:
    """Both whole commands, training and test pass with mesh, one after the other.

    Returns `theirs` and `ours`: wall seconds of the command, seconds until the last checkpoint was written, ms per
    step, PSNR in dB over the held-out views as each reports it, and `failed` where a command did not end well."""
    theirs = [python, "launch.py", "--config", their_config(checkout, config), *their_overrides(experiment, overrides)]
    ours = [sys.executable, str(ROOT / "launch.py"), "--config", config, *overrides, f"seed={experiment.seed}"]
    found = {}
    for name, command, folder in (("theirs", theirs, checkout), ("ours", ours, Path.cwd())):
        progress(f"{name}: {' '.join(command)}")
        found[name] = run_command_of(command, folder, device_index, deadline)
        progress(f"{name}: {found[name]}")
    return {"commit_of_theirs": _commit(checkout), **found}


def run_command_of(command: Sequence[str], folder: Path, device_index: str, deadline: float | None) -> dict[str, Any]:
    """Runs a launch.py, theirs or ours, to its end and reads what it left; both write the same kinds of file."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        out = Path(name)
        flags = ["--train", "--gpu", device_index, "--exp_dir", str(out / "exp"), "--runs_dir", str(out / "runs")]
        started, wall = time.monotonic(), time.time()
        with (out / "log").open("w+", encoding="utf-8", errors="replace") as log:
            process = subprocess.Popen([*command, *flags], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
            seen = _watch(process, out, started, deadline)
            log.seek(0)
            tail = log.read().splitlines()[-5:]
        report = {"seconds": rounded(time.monotonic() - started), "ms_per_step": _ms_per_step(seen)}
        checkpoints = [path.stat().st_mtime for path in out.glob("exp/**/*.ckpt")]
        report["seconds_to_last_checkpoint"] = rounded(max(checkpoints) - wall) if checkpoints else None
        report |= read_figures(out)
        if process.returncode != 0 or report["psnr"] is None:
            report["failed"] = f"exit code {process.returncode}: {' / '.join(tail)}"
        return report


def _watch(process: subprocess.Popen, out: Path, started: float, deadline: float | None) -> list[tuple[float, int]]:
    """Waits for the end, or kills the process at the deadline; (seconds, last logged step) whenever it changed."""
    seen: list[tuple[float, int]] = []
    while process.poll() is None:
        if deadline is not None and time.monotonic() > deadline:
            process.kill()
            process.wait()
            break
        steps = [int(row["step"]) for row in read_log(out) if row.get("step", "").isdigit()]
        if steps and (not seen or max(steps) > seen[-1][1]):
            seen.append((time.monotonic() - started, max(steps)))
        time.sleep(POLL)
    return seen


def _ms_per_step(seen: Sequence[tuple[float, int]]) -> float | None:
    """Mean over the steady part, validation passes included, to the accuracy of the polling; None for too few looks."""
    steady = [point for point in seen if point[1] >= min(STEADY, seen[-1][1] // 4)]
    if len(steady) < 2 or steady[-1][1] == steady[0][1]:
        return None
    return rounded((steady[-1][0] - steady[0][0]) * 1e3 / (steady[-1][1] - steady[0][1]))


def read_log(out: Path) -> list[dict[str, str]]:
    """The rows of Lightning's metrics.csv below a folder; none while there is no such file."""
    rows: list[dict[str, str]] = []
    for path in sorted(out.glob("exp/**/metrics.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows += [{key: value or "" for key, value in row.items() if key} for row in csv.DictReader(file)]
    return rows


def read_figures(out: Path) -> dict[str, Any]:
    """psnr over the held-out views, from metrics.json or the last test row of the log; their validation curve."""
    rows = read_log(out)
    last = next((row["test/psnr"] for row in reversed(rows) if row.get("test/psnr")), None)
    psnr = None if last is None else float(last)
    for path in out.glob("exp/**/save/metrics.json"):
        psnr = json.loads(path.read_text(encoding="utf-8")).get("psnr")
    curve = [{"step": int(row["step"]), "psnr": rounded(float(row["val/psnr"]))} for row in rows if row.get("val/psnr")]
    return {"psnr": None if psnr is None else rounded(psnr), "validation": curve}


def _commit(checkout: Path) -> str | None:
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None
