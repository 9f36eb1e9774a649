"""A kernel that does not compile for a card is replaced by the reference, once said; nothing else is."""

import logging
import re
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.testing import assert_close

from models.ops import Layers, backends, mlp, refusals, sdf_mlp_with_gradient
from models.ops.backends import INTERPRETING
from systems.training import attempts

errors = pytest.importorskip("triton.runtime.errors")


class Refusing:
    """A kernel that no compiler takes."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getitem__(self, grid: tuple[int, ...]) -> "Refusing":
        return self

    def __call__(self, **arguments: object) -> None:
        raise self.error


OUT_OF_SHARED = errors.OutOfResources(81_920, 65_536, "shared memory")  # of a program, and what a T4 has


@pytest.fixture
def layers(device: torch.device) -> Layers:
    if device.type == "cpu" and not INTERPRETING:
        pytest.skip("beside a GPU, Triton's kernels do not run on the CPU")
    weights = tuple(torch.randn(rows, 16, device=device, requires_grad=True) for rows in (16, 3))
    return Layers(weights, (None, None), softplus=False)


@pytest.fixture(autouse=True)
def forget() -> None:
    """What this file makes refuse is no failure."""
    yield
    refusals.REFUSED.clear()


@pytest.mark.parametrize("error", [OUT_OF_SHARED, RuntimeError("PassManager::run failed")])
def test_a_kernel_that_does_not_compile_gives_way_to_the_reference_and_is_told_once(
    device, layers, error, monkeypatch, caplog
):
    monkeypatch.setattr(import_module("models.ops.triton.mlp"), "_forward", Refusing(error))
    x = torch.randn(40, 16, device=device).half()
    for _ in range(2):
        assert_close(mlp(x, layers, backend="triton"), mlp(x.float(), layers, backend="reference"))
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1
    assert "mlp.mlp does not compile for this card: plain PyTorch computes it" in told[0]
    assert str(error).split(".")[0] in told[0]


@pytest.mark.parametrize("kernel", ["_forward", "_backward"])
def test_an_sdf_that_takes_more_shared_memory_than_the_card_has_is_computed_all_the_same(device, kernel, monkeypatch):
    if device.type == "cpu" and not INTERPRETING:
        pytest.skip("beside a GPU, Triton's kernels do not run on the CPU")
    monkeypatch.setenv("PHOTOSURF_CARD", "sm_75")
    monkeypatch.setattr(import_module("models.ops.triton.networks.sdf"), kernel, Refusing(OUT_OF_SHARED))
    weights = tuple(torch.randn(*shape, device=device, requires_grad=True) for shape in ((16, 13), (3, 16)))
    head = Layers(weights, (None, None), softplus=True)
    points, *encoded = (torch.randn(*shape, device=device) for shape in ((40, 3), (40, 10), (40, 10, 3)))

    def gradients(backend: str) -> tuple[torch.Tensor, ...]:
        out = sdf_mlp_with_gradient(points, *encoded, head, backend=backend)
        return torch.autograd.grad(sum(part.square().sum() for part in out), weights)

    if kernel == "_backward":
        with pytest.raises(refusals.KernelRefusedError, match=r"a kernel of mlp.sdf_mlp_with_gradient"):
            gradients("triton")
    assert_close(gradients("triton"), gradients("reference"))
    assert any("sdf_mlp_with_gradient" in operation for operation in refusals.REFUSED)


def test_of_nested_errors_the_innermost_is_told():
    error = RuntimeError("at 3:1:\n    tl.dot(a, b)\n    ^")
    error.__cause__ = ValueError("input_precision must be one of\nieee")
    assert refusals.reason(error) == "ValueError: ieee"
    assert refusals.reason(RuntimeError("  ^\n")) == "RuntimeError: no reason given"


def test_a_backward_pass_that_does_not_compile_asks_for_the_step_again(device, layers, monkeypatch):
    monkeypatch.setattr(import_module("models.ops.triton.mlp"), "_backward", Refusing(OUT_OF_SHARED))
    x = torch.randn(40, 16, device=device)
    with pytest.raises(refusals.KernelRefusedError, match=r"a kernel of mlp.mlp does not compile"):
        mlp(x, layers, backend="triton").sum().backward()
    found = torch.autograd.grad(mlp(x, layers, backend="triton").square().sum(), layers.weights)
    expected = torch.autograd.grad(mlp(x, layers, backend="reference").square().sum(), layers.weights)
    assert_close(found, expected)


def test_a_training_goes_on_after_that_with_the_same_seed_and_sizes():
    job = SimpleNamespace(checkpoint=None, weights_only=False, returns=attempts.MAX_RETURNS)
    assert attempts._after(job, attempts._Trouble("step 0: a kernel", "kernel", None)) is job


@pytest.mark.parametrize(
    "error",
    [RuntimeError("CUDA error: an illegal memory access was encountered"), errors.InterpreterError("a bug"), OSError()],
)
def test_what_went_wrong_otherwise_is_no_refusal(device, layers, error, monkeypatch):
    monkeypatch.setattr(import_module("models.ops.triton.mlp"), "_forward", Refusing(error))
    with pytest.raises(type(error)):
        mlp(torch.randn(40, 16, device=device), layers, backend="triton")
    assert set() == refusals.REFUSED


def test_every_backward_pass_that_launches_names_operations_that_there_are():
    folder = Path(backends.__file__).with_name("triton")
    texts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    named = re.findall(r"@backward_of\(([^)]*)\)\n    def backward\(", "".join(texts.values()))
    passes = sum(text.count("    def backward(") for name, text in texts.items() if name != "patches")
    assert len(named) == passes > 9  # that of patches multiplies, and launches nothing
    for family, name in re.findall(r'"(\w+)\.(\w+)"', " ".join(named)):
        assert callable(getattr(import_module(f"models.ops.triton.{family}"), name))
        assert callable(getattr(backends._kernels(family, "cpu")._otherwise, name))
        assert family in backends.FAMILIES["triton"]
