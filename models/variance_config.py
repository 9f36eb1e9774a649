"""What the sharpness of a NeuS can be told in YAML; free of torch, like `models.configs`."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from utils.config.limits import Range
from utils.config.retired import RetiredKey

_CAP = "a cap on inv_s, which no shipped config set and no table showed to help"
_FLOOR = "a lower bound of inv_s, which cost about 2 dB of PSNR and made no surface better"


@dataclass(frozen=True)
class VarianceConfig:
    """The learned sharpness inv_s = exp(10 v) (Wang et al. 2021)."""

    init_val: Annotated[float, Range(-1.3, 1.3)] = 0.3
    RETIRED: ClassVar[dict[str, RetiredKey]] = {
        "modulate": RetiredKey(_CAP, neutral=(False,)),  # false in each file of instant-nsr-pl
        "mod_start_steps": RetiredKey(_CAP),
        "reach_max_steps": RetiredKey(_CAP),
        "max_inv_s": RetiredKey(_CAP),
        "min_inv_s": RetiredKey(_FLOOR, neutral=(None,)),
    }
