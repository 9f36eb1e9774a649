"""What the sharpness of a NeuS can be told in YAML; free of torch, like `models.configs`."""

from dataclasses import dataclass
from typing import Annotated

from utils.config.limits import Range, Step
from utils.config.schedule import Schedule
from utils.errors import ConfigError


@dataclass(frozen=True)
class VarianceConfig:
    """The learned sharpness inv_s = exp(10 v) (Wang et al. 2021)."""

    init_val: Annotated[float, Range(-1.3, 1.3)] = 0.3
    modulate: bool = False  # from mod_start_steps on inv_s is capped, so that it does not grow too fast
    # step at which the cap is what inv_s is then; from there it grows exponentially
    mod_start_steps: Step | None = None
    reach_max_steps: Step | None = None  # step at which the cap is max_inv_s, as it is from then on
    max_inv_s: Annotated[float, Range(above=0.0, high=1e6)] | None = None  # 1 / scene unit
    # at each step inv_s is raised to this, in 1 / scene unit, so that the surface sharpens where colours do not ask for
    # it too; None: nothing raises it
    min_inv_s: Annotated[Schedule, Range(above=0.0, high=1e6)] | None = None

    def __post_init__(self) -> None:
        if self.modulate:
            self._check_cap()
        if self.modulate and self.min_inv_s is not None and max(self.min_inv_s.values) > self.max_inv_s:
            raise ConfigError(
                f"model.variance.min_inv_s: expected at most {self.max_inv_s:g} (model.variance.max_inv_s) at every "
                f"step, got {max(self.min_inv_s.values):g}."
            )

    def _check_cap(self) -> None:
        for name in ("mod_start_steps", "reach_max_steps", "max_inv_s"):
            if getattr(self, name) is None:
                raise ConfigError(
                    f"model.variance.{name}: missing, since model.variance.modulate=true. Set it, or modulate to false."
                )
        if self.reach_max_steps <= self.mod_start_steps:
            raise ConfigError(
                f"model.variance.reach_max_steps: must exceed model.variance.mod_start_steps ({self.mod_start_steps}), "
                f"got {self.reach_max_steps}. It counts from the start of training."
            )
