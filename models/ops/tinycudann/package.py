"""What all uses of tiny-cuda-nn (https://github.com/NVlabs/tiny-cuda-nn), an optional package, share."""

import logging
from types import ModuleType

import torch
from torch import Tensor, nn

from utils.errors import ConfigError

log = logging.getLogger(__name__)


def load() -> ModuleType:
    """The package. Raises ConfigError if it does not load."""
    try:
        import tinycudann
    except (ImportError, OSError) as error:
        raise ConfigError(
            f"model.backend=tinycudann: the package does not load: {error}. Build it again, for this PyTorch and this "
            f"GPU, or use model.backend=auto."
        ) from error
    return tinycudann


def without_parameters(part: nn.Module, device: torch.device) -> nn.Module:
    """A module of the package whose own parameters are dropped: each call brings ours."""
    part.params = nn.Parameter(torch.empty(0, device=device), requires_grad=False)
    return part


def refuse_recording(device: torch.device) -> None:
    """Raises ConfigError while a CUDA graph is recorded: the package synchronises the device when it takes memory on a
    stream that it has not seen."""
    if _recording(device):
        raise ConfigError(
            "model.backend=tinycudann: expected steps launched piece by piece, got a CUDA graph, which cannot record "
            "tiny-cuda-nn. Set trainer.cuda_graph=false, or use model.backend=auto."
        )


def _recording(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()  # a build for CPUs cannot be asked


class Finite:
    """A hook for gradients that puts zeros in place of NaN and infinity, and warns once when the host learns of it."""

    def __init__(self, what: str, device: torch.device) -> None:
        self.what = what
        self.spoilt = torch.zeros((), dtype=torch.bool, device=device)
        self.spoilt_on_host = torch.zeros((), dtype=torch.bool, pin_memory=device.type == "cuda")
        self.warned = False

    def __call__(self, gradient: Tensor) -> Tensor:
        """The gradient, finite everywhere."""
        self.spoilt |= ~gradient.isfinite().all()
        self.spoilt_on_host.copy_(self.spoilt, non_blocking=True)  # nobody waits for it
        if self.spoilt_on_host and not self.warned:
            self.warned = True
            log.warning(
                "model.backend=tinycudann: the gradient of %s had NaN or infinite entries; these are set to 0, now and "
                "in later steps. If the training does not converge, use model.backend=auto.",
                self.what,
            )
        return gradient.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
