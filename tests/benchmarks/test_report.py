"""The document is what the generator makes of the results that are there, and says what they say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report as benchmark
from benchmarks.tables import number, table, timing

GPU = {"device": "NVIDIA H200", "cpu": "A CPU", "cpu_cores": 16, "torch": "2.9", "cuda": "12.8", "commit": "abc"}
KNOWN = json.loads(benchmark.FLOORS.read_text(encoding="utf-8"))


def spread(median: float) -> dict:
    return {"median": median, "p10": 0.9 * median, "p90": 1.1 * median, "num": 9}


def row(op: str, points: str, precision: str, step: str, ms: float, backend: str = "triton") -> dict:
    key = {"op": op, "points": points, "precision": precision, "pass": step, "backend": backend}
    return key | {"bytes": 1, "ms": spread(ms), "eager_ms": spread(2 * ms), "gb_per_s": 2000.0, "bandwidth_share": 0.5}


OPS = {
    "benchmark": "ops",
    "command": "python -m benchmarks.ops",
    "date": "2026-01-02T03:04:05+00:00",
    "environment": GPU,
    "config": {"samples": 2**18, "rays": 8192},
    "copy_gb_per_s": 4260.0,
    "rows": [
        row("composite", "rays", "float32", "forward", 0.02),
        row("composite", "rays", "float32", "backward", 0.03),
        row("composite", "rays", "float32", "backward", 5.0, "reference"),
        row("sdf_mlp_with_gradient 35-64-13", "rays", "float32", "forward", 0.1),
    ],
}
RUN = {
    "seed": 42,
    "steps": 2000,
    "train_seconds": 3.5,
    "ms_per_step": spread(1.25),
    "command_to_first_step_seconds": 9.0,
    "psnr": 29.04,
    "peak_gpu_reserved_mib": 1234.0,
    "curve": [{"step": 1000, "seconds": 1.5, "psnr": 26.04, "samples": 260000, "rays": None}],
    "thresholds": [{"psnr": 32.2, "step": None, "seconds": None}],
}
TRAIN = {
    **{name: OPS[name] for name in ("date", "environment")},
    "benchmark": "train",
    "command": "python -m benchmarks.train",
    "config": {"name": "neus-blender-lego", "trainer": {"max_steps": 20000}},
    "runs": [RUN, {**RUN, "seed": 43}],
    "median": {**RUN, "ms_per_step": 1.25, "thresholds": [{"psnr": 32.2, "seconds": None, "reached_by": 0}]},
    "profile": {
        "steps": 100,
        "ms_per_step": 1.5,
        "ms_per_step_without_profiler": 1.3,
        "gpu_ms_per_step": 1.2,
        "gpu_busy_share": 0.8,
        "gpu_busy_share_without_profiler": 0.92,
        "kernels_per_step": 40.0,
        "host_launches_per_step": 2.0,
        "host_waits_per_100_steps": {"aten::item": 1.0},
        "kernels": [{"name": "void f<a|b>", "us_per_step": 300.0, "calls_per_step": 1.0, "share": 0.25}],
    },
    "sweep": [{"varied": "n_levels", "value": 8, "failed": "out of GPU memory"}],
}
EXPORT = {
    **{name: OPS[name] for name in ("date", "environment")},
    "benchmark": "export",
    "command": "python -m benchmarks.export",
    "view": {"size": [800, 800], "ms": spread(50.0)},
    "meshes": [{"resolution": 512, "seconds": 1.5, "vertices": 123456, "peak_memory_mib": 2000.0}],
}


def test_the_pages_are_what_the_generator_makes() -> None:
    results = benchmark.read_results(benchmark.RESULTS)
    made = {benchmark.DOCUMENT: benchmark.report(results, KNOWN), benchmark.DETAILS: benchmark.details(results)}
    for document, text in made.items():
        assert text == document.read_text(encoding="utf-8"), "run python -m benchmarks.report"
    for path in benchmark.RESULTS.glob("*.json"):
        assert any(f"benchmarks/results/{path.name})" in text for text in made.values()), path.name


def test_figures_stand_beside_floors_and_predecessor() -> None:
    results = {"ops_h200.json": OPS, "train_h200.json": TRAIN, "export_h200.json": EXPORT}
    short = benchmark.report(results, KNOWN)
    text = short + benchmark.details(results)
    for line in (
        "| part of a step | floor | predecessor | ours, NVIDIA H200 |",
        "| composite, forward and backward | < 0.1 (with the losses) | 0.09 and many small kernels | 0.05 |",
        "| SDF and colour networks, forward and backward | < 0.1 (25 GFLOP, fused) | "
        "fp32 SDF network 0.69, FullyFusedMLP 0.58 | – |",
        "| training, s | 507 (20 000 steps) | 3.5 |",
        "| PSNR at step 1000, dB | 25.9 | 26.0 |",
        "| PSNR at step 2000, dB | 28.0 | – |",
        "| GPU ms per step | 6.4 (556 launches) | 1.2 |",
        "| composite | rays | float32 | triton | forward | 0.02 (0.018–0.022) | 0.04 (0.036–0.044) | 2 000 | 50 % |",
        "| seed 43 | 2 000 | 3.5 | 9 | 29.04 | 1 234 | 1.25 (1.12–1.38) | – |",
        "| median | 2 000 | 3.5 | 9 | 29.04 | 1 234 | 1.25 | – |",
        "| 1000 | 1.5 | 26.04 | 260 000 | – |",
        "| `void f<a\\|b>` | 300 | 1 | 25 % |",
        "| n_levels | 8 | – | – | – | out of GPU memory |",
        "| 512³ | 1.5 | – | 2 000 | 123 456 |  |",
    ):
        assert line in text.splitlines(), line
    assert "GPU busy 80 %, without the profiler 92 %" in text
    assert "NVIDIA H200; A CPU, 16 cores; torch 2.9, cuda 12.8; commit abc, 2026-01-02" in text
    assert "Ours have not been measured" not in short.split("## Against instant-nsr-pl")[0]


def test_levers_stand_with_what_failed() -> None:
    run = {"task": "cow-none-seed1", "seed": 1, "state": "done"}
    lost = {"task": "cow-none-seed2", "seed": 2, "state": "failed", "reason": "too dark"}
    row = {"scene": "cow", "lever": "none", "done": 1, "of": 2, "runs": [run, lost], "median": {"psnr": 31.5}}
    result = {**EXPORT, "benchmark": "photographs_with_truth", "true_masks": True, "rows": [row | {"spread": {}}]}
    text = benchmark.details({"photographs.json": result})
    assert "| cow | none | 1 of 2 | 31.5 |" in text.splitlines()
    assert "- cow-none-seed2: failed: too dark" in text.splitlines()
    assert "Sets are trained with their true masks." in text


def test_only_trainings_that_compute_the_same_stand_beside_the_predecessor() -> None:
    def of(**changed: Any) -> dict[str, Any]:
        return {**TRAIN, "config": {**TRAIN["config"], **changed}}

    others = [
        of(model={"background": {"name": "learned"}}),
        of(model={"geometry": {"grad_type": "finite_difference"}}),
        of(trainer={"max_steps": 700}),
    ]
    plain = of(model={"background": {"name": "color"}, "geometry": {"grad_type": "analytic"}})
    text = benchmark.report({f"{i}.json": result for i, result in enumerate([*others, plain])}, KNOWN)
    assert "| neus-blender-lego | predecessor | ours, 20 000 steps, NVIDIA H200 |" in text.splitlines()


def test_results_on_a_cpu_or_of_other_sizes_do_not_stand_beside_the_floors() -> None:
    cpu = {**OPS, "environment": {**GPU, "cuda": None}}
    small = {**OPS, "config": {"samples": 2**16, "rays": 2048}}
    text = benchmark.report({"a.json": cpu, "b.json": small}, KNOWN)
    assert "Ours have not been measured on a GPU yet." in text


def test_figures_are_rounded_without_exponents() -> None:
    assert [number(value) for value in (0.000123456, 1234567.0, 3.0, None)] == ["0.000123", "1 230 000", "3", "–"]
    assert timing(spread(10.0)) == "10 (9–11)"
    assert table(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |"


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"command": "x"}', '{"benchmark": "x", "command": 1, "environment": 1}']
)
def test_a_file_that_is_no_result_is_named(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    (tmp_path / "mine.json").write_text(content)
    monkeypatch.setattr(benchmark, "RESULTS", tmp_path)
    assert "mine.json: expected the JSON of a benchmark" in refused(benchmark.work)


def test_the_report_takes_no_arguments(refused: Callable[..., str]) -> None:
    assert "'--all'" in refused(benchmark.work, "--all")


def test_work_writes_both_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "DOCUMENT", tmp_path / "docs" / "benchmarks.md")
    monkeypatch.setattr(benchmark, "DETAILS", tmp_path / "docs" / "experiments" / "figures.md")
    assert benchmark.work([]) is None
    assert benchmark.DOCUMENT.read_text(encoding="utf-8").startswith("# Benchmarks")
    assert benchmark.DETAILS.read_text(encoding="utf-8").startswith("# All figures")


def test_each_training_is_a_row_with_its_mesh_where_that_was_judged() -> None:
    run = {"command": "launch", "environment": GPU, "steps": 20000, "train_seconds": 28.4, "psnr": 35.5, "ssim": 0.98}
    judged = {**run, "whole": {"chamfer_permille": 0.369, "accuracy_permille": 0.3}}
    text = benchmark.report({"run-a.json": run, "run-b.json": judged, "train.json": TRAIN, "ops.json": OPS}, KNOWN)
    rows = text.split("## Trainings")[1].split("\n\n")[1].splitlines()[2:]
    assert rows == [
        "| [run-a](../benchmarks/results/run-a.json) | 20 000 | 28.4 | 35.5 | 0.98 | – | NVIDIA H200, abc |",
        "| [run-b](../benchmarks/results/run-b.json) | 20 000 | 28.4 | 35.5 | 0.98 | 0.369 | NVIDIA H200, abc |",
        "| [train](../benchmarks/results/train.json) | 2 000 | 3.5 | 29 | – | – | NVIDIA H200, abc |",
    ]


def test_memory_of_images_is_a_table() -> None:
    row = {"pixels_on": "host", "images_mib": 1056.0, "ms_per_step": spread(1.6), "peak_gpu_allocated_mib": 600.0}
    result = {**OPS, "benchmark": "memory", "rows": [row], "views": 178, "size": [1920, 1080]}
    text = benchmark.report({"memory.json": result}, KNOWN)
    assert "178 generated images of 1920×1080 pixels" in text
    assert "| host | 1.6 (1.44–1.76) | 1 056 | 600 | – | – |" in text


def test_a_card_of_a_reader_stands_beside_its_estimate() -> None:
    part = {"ms_per_step": spread(18.0), "estimated_ms_per_step": 15.5, "measured_by_estimated": 1.16}
    result = {
        **{name: OPS[name] for name in ("date", "environment")},
        "benchmark": "mine",
        "command": "python -m benchmarks.mine",
        "card": {"capability": "sm_75", "memory_gib": 14.7, "system": "Linux, Debian"},
        "neus": part | {"compile_seconds": 41.0, "peak_gpu_memory_mib": 560.0},
        "nerf": {"failed": "out of memory"},
        "mesh": {"resolution": 512, "seconds": 3.2},
    }
    text = benchmark.details({"mine_tesla-t4.json": result})
    assert "sm_75, 14.7 GiB, Linux, Debian." in text
    assert "| neus | 18 (16.2–19.8) | 15.5 | 1.16 | 41 | 560 |  |" in text
    assert "| nerf | – | – | – | – | – | out of memory |" in text
    assert "Mesh of 512³: 3.2 s." in text
