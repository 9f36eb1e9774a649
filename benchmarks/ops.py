"""Times each numerical operation, forward and backward, in each backend that serves the device.

    python -m benchmarks.ops

On a GPU a call is one of 20 in a CUDA graph, so that gaps between launches do not count; what the same calls take when
the host launches them is given as `eager`. Calls rotate between sets of inputs, so that no cache holds them."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import torch

from benchmarks import common
from benchmarks.common import Result, progress, rounded, spread, time_calls
from benchmarks.operations.cases import Call, Case, backward_bytes, cases, forward_bytes
from benchmarks.operations.sphere import SAMPLES_PER_RAY, Inputs, make_inputs
from models import ops
from models.ops import backends

IN_GRAPH = 20  # calls
SETS = {"cuda": 4, "cpu": 2}
GRID = ops.GridSpec(16, 2, 19, 32, 1.3195079107728942)  # of configs/base/neus.yaml
COPY_BYTES = {"cuda": 2**31, "cpu": 2**28}
SAMPLES = {"cuda": 2**18, "cpu": 2**16}
QUICK_SAMPLES, QUICK_COPY, QUICK_BUDGET = 2**9, 2**22, 0.0


def copy_bandwidth(device: torch.device, size: int, budget: float) -> float:
    """Bytes per second that a copy of `size` bytes of random numbers reads and writes together."""
    sources = [torch.rand(size // 4, device=device) for _ in range(2)]
    target = torch.empty_like(sources[0])
    times = time_calls(lambda index: target.copy_(sources[index % 2]), device, 5, budget)
    return 2.0 * size / (spread(times)["median"] * 1e-3)


def backends_of(case: Case, device: torch.device) -> list[str]:
    """The backends that have a kernel of their own for the device and are installed; the fastest first."""
    if case.family is None:
        return ["torch"]
    found = []
    for name in ("triton", "reference") if device.type == "cuda" else ("numba", "reference"):
        module = backends.module(case.family, name, torch.empty(0, device=device))
        if module.__name__ == f"models.ops.{name}.{case.family}":  # otherwise the reference serves in its place
            found.append(name)
    return found


def time_pass(call: Callable[[int], object], device: torch.device, budget: float) -> dict[str, Any]:
    """Spread of the milliseconds per call: `ms`, and on a GPU `eager_ms` beside it.

    call: receives the number of the call. `ms` is that of a CUDA graph; where none can be captured, `no_graph` says
    why and both are the same."""
    eager = spread(time_calls(call, device, IN_GRAPH if device.type == "cuda" else 1, budget))
    if device.type != "cuda":
        return {"ms": eager}
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream(device)):
            for index in range(IN_GRAPH):
                call(index)
    except RuntimeError as error:
        return {"ms": eager, "eager_ms": eager, "no_graph": str(error).splitlines()[0]}
    replays = time_calls(lambda index: graph.replay(), device, 1, budget)
    return {"ms": spread([ms / IN_GRAPH for ms in replays]), "eager_ms": eager}


def measure(case: Case, calls: Sequence[Call], device: torch.device, budget: float) -> Iterator[dict[str, Any]]:
    """A row for the forward and, where there is one, the backward."""

    def forward(index: int) -> object:
        return calls[index % len(calls)].forward()

    outputs = [call.forward() for call in calls]
    moved = forward_bytes(calls[0], outputs[0])
    yield {"pass": "forward", "bytes": moved, **time_pass(forward, device, budget)}
    if not calls[0].leaves:
        return
    cotangents = [tuple(torch.randn_like(tensor) for tensor in found) for found in outputs]

    def backward(index: int) -> object:
        place = index % len(calls)
        return torch.autograd.grad(outputs[place], calls[place].leaves, cotangents[place], retain_graph=True)

    yield {"pass": "backward", "bytes": backward_bytes(calls[0], outputs[0]), **time_pass(backward, device, budget)}


def rows_of(
    case: Case, sets: Sequence[Inputs], grid: ops.GridSpec, device: torch.device, budget: float
) -> Iterator[dict[str, Any]]:
    """All rows of a case: each backend, precision and pass."""
    precisions = ("float32", "float16") if case.halves and device.type == "cuda" else ("float32",)
    for backend in backends_of(case, device):
        for precision in precisions:
            progress(f"{case.op}, {case.points}, {backend}, {precision}")
            # Casts that autocast keeps for later would be left out of every call but the first.
            half = torch.autocast(device.type, torch.float16, precision == "float16", cache_enabled=False)
            with half:
                calls = [case.make(inputs, grid, backend) for inputs in sets]
                for row in measure(case, calls, device, budget):
                    yield {"op": case.op, "points": case.points, "precision": precision, "backend": backend, **row}


def make_parser() -> common.Parser:
    """The flags of the command line."""
    parser = common.Parser("ops", "Times each numerical operation in each backend.")
    help_text = "samples of a batch (default: 2^18 on a GPU, 2^16 on a CPU)"
    parser.add_argument("--samples", type=common.whole_number(SAMPLES_PER_RAY), metavar="S", help=help_text)
    return parser


def work(argv: list[str]) -> None:
    """Times everything and writes the JSON file."""
    args = make_parser().parse_args(argv)
    device = common.chosen_device(args.device)
    samples = args.samples or (QUICK_SAMPLES if args.quick else SAMPLES[device.type])
    grid = ops.GridSpec(4, 2, 10, 16, 1.5) if args.quick else GRID
    budget = QUICK_BUDGET if args.quick else 0.5
    progress(f"{device}: {samples} samples")
    # Gradients are computed on the stream of their forward: to be captured it must not be the default one.
    stream = torch.cuda.stream(torch.cuda.Stream(device)) if device.type == "cuda" else nullcontext()
    with stream:
        bandwidth = copy_bandwidth(device, QUICK_COPY if args.quick else COPY_BYTES[device.type], budget)
        sets = [make_inputs(samples, grid, device, seed) for seed in range(SETS[device.type])]
        config = _config(sets, grid)
        result = Result("ops", "ops", device, args, argv, config=config, copy_gb_per_s=rounded(bandwidth / 1e9))
        rows: list[dict[str, Any]] = []
        for case in cases():
            for row in rows_of(case, sets, grid, device, budget):
                per_second = row["bytes"] / (row["ms"]["median"] * 1e-3)
                shares = {"gb_per_s": rounded(per_second / 1e9), "bandwidth_share": rounded(per_second / bandwidth)}
                rows.append(row | shares)
            result.write(rows=rows)
    print(result.path)


def _config(sets: Sequence[Inputs], grid: ops.GridSpec) -> dict[str, Any]:
    return {
        "samples": len(sets[0].points),
        "samples_in_use": [int(inputs.packed.num_samples) for inputs in sets],
        "rays": len(sets[0].rays),
        "grid": asdict(grid) | {"entries": grid.num_entries},
        "input_sets": len(sets),
        "counted": {case.op: case.counted for case in cases()},
    }


if __name__ == "__main__":
    sys.exit(common.run_command(work))
