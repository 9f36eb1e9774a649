"""The benchmark of the operations on a CPU: every operation and backend has its row, bytes are counted by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks import ops as benchmark
from benchmarks.common import run_command
from benchmarks.operations.cases import Call, backward_bytes, cases, forward_bytes
from benchmarks.operations.sphere import RADIUS, SPHERE, make_inputs
from models import ops

CPU = torch.device("cpu")
GRID = ops.GridSpec(4, 2, 10, 16, 1.5)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("ops") / "ops.json"
    assert run_command(benchmark.work, ["--device", "cpu", "--quick", "--samples", "256", "--out", str(out)]) == 0
    return json.loads(out.read_text())


def test_every_operation_backend_and_pass_has_a_row(content: dict) -> None:
    found = {(row["op"], row["points"], row["backend"], row["pass"]) for row in content["rows"]}
    assert len(found) == len(content["rows"])
    for points in ("rays", "random"):
        for backend in ("numba", "reference"):
            for step in ("forward", "backward"):
                assert ("hash_encode", points, backend, step) in found
                assert ("hash_features", points, backend, step) in found
    for backend in ("numba", "reference"):
        assert {("encode_sdf 35-64-13", "rays", backend, step) for step in ("forward", "backward")} <= found
    for op in ("sdf_mlp_with_gradient 35-64-13", "mlp 32-64-16", "mlp 32-64-64-3", "neus_alpha", "composite"):
        assert {(op, "rays", "reference", "forward"), (op, "rays", "reference", "backward")} <= found
    assert {("ncc", "rays", "torch", "forward"), ("ncc", "rays", "torch", "backward")} <= found
    for row in (("march", "numba"), ("march", "reference"), ("spherical_harmonics", "reference"), ("adamw", "torch")):
        assert (row[0], "rays", row[1], "forward") in found
    assert not any(row[2] == "triton" for row in found)  # its interpreter would be timed


def test_rows_and_counts_agree(content: dict) -> None:
    assert content["benchmark"] == "ops"
    assert content["config"]["samples"] == 256
    assert content["config"]["rays"] == 8
    assert set(content["config"]["counted"]) == {row["op"] for row in content["rows"]}
    for row in content["rows"]:
        rate = row["bytes"] / row["ms"]["median"] / 1e6
        assert row["gb_per_s"] == pytest.approx(rate, rel=1e-3)
        assert row["bandwidth_share"] == pytest.approx(rate / content["copy_gb_per_s"], rel=1e-3)
        assert row["ms"]["p10"] <= row["ms"]["median"] <= row["ms"]["p90"]


def call_of(op: str, points: str = "rays", samples: int = 64) -> tuple[Call, tuple[torch.Tensor, ...]]:
    case = next(case for case in cases() if (case.op, case.points) == (op, points))
    call = case.make(make_inputs(samples, GRID, CPU, 0), GRID, "auto")
    return call, call.forward()


def test_bytes_of_a_network_and_of_the_optimiser() -> None:
    call, outputs = call_of("mlp 32-64-16")
    weights = 32 * 64 + 64 * 16
    assert forward_bytes(call, outputs) == 4 * (64 * 32 + weights + 64 * 16)
    assert backward_bytes(call, outputs) == 4 * (2 * 64 * 32 + 2 * weights + 64 * 16)
    call, outputs = call_of("adamw")
    assert forward_bytes(call, outputs) == 4 * 7 * GRID.num_entries * 2


def test_a_hash_grid_reads_what_it_touches_and_its_backward_writes_all() -> None:
    call, outputs = call_of("hash_encode", "random")
    touched = call.forward_bytes // 8
    assert 8 * 4 <= touched <= 8 * 4 * 64  # 8 corners on 4 levels, for one point at least
    assert forward_bytes(call, outputs) == 4 * 64 * 3 + 8 * touched + 4 * 64 * 8 * 4
    assert backward_bytes(call, outputs) == 4 * 64 * 3 + 4 * 64 * 8 * 4 + 8 * GRID.num_entries


def test_every_backward_reaches_its_leaves() -> None:
    for case in cases():
        call = case.make(make_inputs(1024, GRID, CPU, 1), GRID, "auto")
        if call.leaves:
            outputs = call.forward()
            gradients = torch.autograd.grad(outputs, call.leaves, [torch.randn_like(tensor) for tensor in outputs])
            assert all(float(gradient.abs().sum()) > 0.0 for gradient in gradients), case.op


def test_the_samples_lie_along_rays_around_the_sphere_and_fill_the_batch() -> None:
    inputs = make_inputs(2**14, GRID, CPU, 0)
    valid = inputs.packed.valid
    assert 0.85 < float(valid.float().mean()) <= 1.0
    distance = ((inputs.points[valid] * 2.0 - 1.0) * RADIUS).norm(dim=1)
    assert float((distance - SPHERE).abs().max()) < 0.1
    steps = (inputs.points[1:] - inputs.points[:-1]).norm(dim=1)[valid[1:]]
    assert float(steps.median()) < 0.003  # neighbours in memory are neighbours in space
    assert torch.equal(inputs.points, make_inputs(2**14, GRID, CPU, 0).points)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--samples", "0"], "from 32 on, got '0'"),
        (["--device", "tpu"], "expected cpu, cuda"),
        (["--smaples", "9"], "unrecognized arguments: --smaples"),
    ],
)
def test_bad_arguments_are_one_line(argv: list[str], said: str, refused: Callable[..., str]) -> None:
    assert said in refused(benchmark.work, *argv)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_times_graphs(tmp_path: Path) -> None:
    out = tmp_path / "ops.json"
    assert run_command(benchmark.work, ["--device", "cuda", "--quick", "--out", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert {row["precision"] for row in rows} == {"float32", "float16"}
    assert {row["backend"] for row in rows} == {"triton", "reference", "torch"}
    assert [row for row in rows if "no_graph" in row] == []
