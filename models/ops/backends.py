"""Which backend computes an operation, and the warnings if a fast one cannot be used."""

import importlib
import importlib.util
import logging
import os
import shutil
import sys
import sysconfig
from functools import cache
from pathlib import Path
from types import ModuleType

from torch import Tensor, float16, float32

from models.ops.cards import STOOD_IN
from models.ops.grid import GridSpec
from models.ops.layers import Layers, RadianceHeads
from models.ops.reference import shading as reference_shading
from models.ops.refusals import COMPOSED, Guarded
from utils.errors import ConfigError
from utils.rays import RaySamples

BACKENDS = ("auto", "reference", "numba", "triton", "tinycudann")
FAMILIES = {
    "numba": ("hash", "rays", "reflection", "adam", "fields"),
    "triton": (
        *("pixels", "hash", "rays", "unbounded", "samples", "shading", "reflection", "mlp", "patches"),
        *("fields", "losses", "adam"),
    ),
    "tinycudann": ("hash", "mlp"),
}  # those with kernels of their own
INTERPRETING = os.environ.get("TRITON_INTERPRET") == "1"  # Triton's kernels run on the CPU, slowly: for tests
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")  # as before Triton 3.9, which warns until it is told
log = logging.getLogger(__name__)


class Parts:
    """Operations that are made of those of other families, by one backend."""

    def __init__(self, backend: str) -> None:
        self.backend, self.__name__ = backend, f"models.ops.{backend}.fields"

    def encode_sdf(
        self,
        points: Tensor,
        table: Tensor,
        spec: GridSpec,
        active_levels: int | None,
        count: Tensor | None,
        layers: Layers,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Distance, outputs and gradient as in `models.ops.encode_sdf`."""
        grid = module("hash", self.backend, table)
        features, jacobian = grid.hash_encode(points.detach(), table, spec, active_levels, count)
        network = module("mlp", self.backend, features)
        return network.sdf_mlp_with_gradient(points, features, jacobian, layers)

    def encode_radiance(
        self,
        points: Tensor,
        table: Tensor,
        spec: GridSpec,
        active_levels: int | None,
        heads: RadianceHeads,
        harmonics: Tensor,
        packed: RaySamples,
    ) -> tuple[Tensor, Tensor]:
        """Opacity and colour as in `models.ops.encode_radiance`."""
        count, shading = packed.num_samples, module("shading", self.backend, table)
        features = module("hash", self.backend, table).hash_features(points, table, spec, active_levels, count)
        network = module("mlp", self.backend, features)
        out = network.mlp(features, heads.density, count)
        raw = _in_32_bits(out[:, 0]) + heads.bias
        alpha = shading.density_alpha(reference_shading.density_from_raw(raw, heads.activation), packed)
        columns = module("samples", self.backend, out).concat_columns((out,), harmonics, packed)
        return alpha, _in_32_bits(network.mlp(columns, heads.color, count))


def _in_32_bits(x: Tensor) -> Tensor:
    """Of fewer bits, as autocast leaves them, 32."""
    return x.float() if x.dtype.itemsize < 4 else x


def module(family: str, backend: str, tensor: Tensor) -> ModuleType | Guarded | Parts:
    """The module that implements a family of operations for a tensor; fast backends are imported when first used.

    Under "tinycudann" only the hash grid and networks are that package's, all other families are those of "auto".
    Raises ConfigError if the caller asks for a backend that cannot be used."""
    if backend not in BACKENDS:
        raise ValueError(f"Expected backend to be one of {', '.join(BACKENDS)}. Got '{backend}'.")
    if backend == "tinycudann":
        _require_tinycudann(tensor)
        if family in COMPOSED:
            return Parts(backend)
        backend = "tinycudann" if family in FAMILIES["tinycudann"] else "auto"
    if backend == "auto":
        backend = next((name for name in ("numba", "triton") if _serves(name, tensor)), "reference")
    elif not _serves(backend, tensor):
        raise ConfigError(
            f"model.backend={backend}: expected float32 on a CPU for numba, on a GPU for triton; got {tensor.dtype} on "
            f"{tensor.device}. Use model.backend=auto, or choose the device with --gpu."
        )
    if family not in FAMILIES.get(backend, ()) or not _installed(backend):
        if family in COMPOSED:
            return Parts(backend)
        backend = "reference"
    if backend == "triton":
        return _kernels(family, tensor.device.type)
    return importlib.import_module(f"models.ops.{backend}.{family}")


@cache
def _kernels(family: str, device: str) -> Guarded:
    """Triton's, and the reference, or the parts of what has such, where they do not compile."""
    return Guarded(family, device, Parts("triton") if family in COMPOSED else None)


def uses_triton(backend: str, tensor: Tensor) -> bool:
    """Whether `backend` means Triton's kernels for a tensor like this one."""
    return backend in ("auto", "triton", "tinycudann") and _serves("triton", tensor) and _installed("triton")


def _serves(backend: str, tensor: Tensor) -> bool:
    device = "cuda" if STOOD_IN.get() else tensor.device.type
    if backend == "numba":
        return device == "cpu" and tensor.dtype == float32
    if backend == "triton":
        return tensor.dtype in (float32, float16) and (device == "cuda" or (device == "cpu" and INTERPRETING))
    return backend == "reference" or tensor.dtype in (float32, float16)  # tinycudann makes float32 of either


def _require_tinycudann(tensor: Tensor) -> None:
    """Raises ConfigError where the package cannot be used: unlike the others, this backend has no silent substitute."""
    if tensor.device.type != "cuda":
        raise ConfigError(
            f"model.backend=tinycudann: expected a GPU, got tensors on {tensor.device}. Choose a GPU with --gpu, or "
            f"use model.backend=auto."
        )
    if importlib.util.find_spec("tinycudann") is None:
        raise ConfigError(
            "model.backend=tinycudann: the package is not installed. Install it from source, as its repository says "
            "(https://github.com/NVlabs/tiny-cuda-nn), or use model.backend=auto."
        )


@cache
def _installed(backend: str) -> bool:
    """Whether a backend can be used on this machine; if not, logs why and what to do, once."""
    missing = {"numba": _missing_for_numba, "triton": _missing_for_triton}.get(backend, lambda: None)()
    if missing is not None:
        log.warning("%s Until then plain PyTorch computes, many times slower.", missing)
    return missing is None


def _missing_for_numba() -> str | None:
    return None if importlib.util.find_spec("numba") else "numba is not installed: pip install numba."


def _missing_for_triton() -> str | None:
    if importlib.util.find_spec("triton") is None:
        package = "triton-windows" if sys.platform == "win32" else "triton"
        return f"Triton is not installed, though a GPU is there: pip install {package}."
    if INTERPRETING or sys.platform == "win32":  # triton-windows brings a compiler
        return None
    compilers = [os.environ.get("CC"), "gcc", "clang", "cc"]
    if not any(shutil.which(compiler) for compiler in compilers if compiler):
        return "Triton needs a C compiler: install gcc (Debian, Ubuntu: apt install gcc) or set CC."
    include = sysconfig.get_path("include")
    if not (Path(include) / "Python.h").is_file():
        version = sysconfig.get_python_version()
        return (
            f"Triton needs the headers of Python, {include}/Python.h is missing: install them (Debian, Ubuntu: "
            f"apt install python{version}-dev) or use a Python that brings them, such as conda's or uv's."
        )
    return None
