"""What the sharpness of a NeuS can be told in YAML; free of torch, like `models.configs`."""

from dataclasses import dataclass

from utils.config.schedule import Schedule
from utils.errors import ConfigError


@dataclass(frozen=True)
class VarianceConfig:
    """The learned sharpness inv_s = exp(10 v) (Wang et al. 2021)."""

    init_val: float = 0.3
    modulate: bool = False  # from mod_start_steps on inv_s is capped, so that it does not grow too fast
    mod_start_steps: int | None = None  # step at which the cap is what inv_s is then; from there it grows exponentially
    reach_max_steps: int | None = None  # step at which the cap is max_inv_s, as it is from then on
    max_inv_s: float | None = None  # 1 / scene unit
    # at each step inv_s is raised to this, in 1 / scene unit, so that the surface sharpens where colours do not ask for
    # it too; None: nothing raises it
    min_inv_s: Schedule | None = None

    def __post_init__(self) -> None:
        if self.modulate:
            self._check_cap()
        if self.min_inv_s is not None:
            self._check_floor(self.max_inv_s if self.modulate else 1e6)

    def _check_floor(self, most: float) -> None:
        values = [value for _, value in self.min_inv_s.points]
        if min(values) <= 0.0 or max(values) > most:
            raise ConfigError(
                f"model.variance.min_inv_s: expected more than 0, at most {most:g}"
                f"{' (model.variance.max_inv_s)' if self.modulate else ''}, at every step; got {min(values):g} to "
                f"{max(values):g}."
            )

    def _check_cap(self) -> None:
        for name in ("mod_start_steps", "reach_max_steps", "max_inv_s"):
            if getattr(self, name) is None:
                raise ConfigError(
                    f"model.variance.{name}: missing, since model.variance.modulate=true. Set it, or modulate to false."
                )
        if self.mod_start_steps < 0:
            raise ConfigError(f"model.variance.mod_start_steps: expected at least 0, got {self.mod_start_steps}.")
        if self.reach_max_steps <= self.mod_start_steps:
            raise ConfigError(
                f"model.variance.reach_max_steps: must exceed model.variance.mod_start_steps ({self.mod_start_steps}), "
                f"got {self.reach_max_steps}. It counts from the start of training."
            )
        if not 0.0 < self.max_inv_s <= 1e6:
            raise ConfigError(f"model.variance.max_inv_s: expected more than 0, at most 1e6, got {self.max_inv_s:g}.")
