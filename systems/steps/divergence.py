"""Watches a training for NaN and for a lost surface, by figures that a logging step leaves on the device."""

import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.base import VolumeModel
from systems.steps.finite import check_figures, weight_norm

log = logging.getLogger(__name__)
CHECKED_EVERY = 100  # steps: figures are checked that often even if trainer.log_every_n_steps is larger
NUM_POINTS = 1024  # in occupied cells
HAZE_STEPS = 500  # a density begins as haze: opacities are judged only after these
PATIENCE = 1000  # steps after which inv_s should have risen
_TRANSPARENT, _OPAQUE = 1e-4, 0.9  # opacity of one step through a cell
_SPREAD = 0.8191725, 0.6710436, 0.5497005  # powers of 0.8191725...: their multiples fill a cube evenly
_PROBED = ("parameters", "least", "most")  # what `probe` measures; not logged as curves
_REMEDY = "Check model.radius and the masks (dataset.apply_mask), or lower system.optimizer.args.lr"
_WARNINGS = {
    "gone": f"the SDF is positive wherever samples lie, so no surface is left. {_REMEDY}.",
    "full": f"the SDF is negative wherever samples lie, so all is inside. {_REMEDY}.",
    "clear": f"everything is transparent, so nothing is learned. {_REMEDY}.",
    "solid": f"everything is opaque, so only the first samples of rays are learned. {_REMEDY}.",
    "soft": "inv_s has not risen since the training began, so the surface stays soft. Raise the learning rate "
    "of variance (system.optimizer.params.variance.lr).",
}


class DivergenceMonitor:
    """Ends a training whose numbers are NaN or infinite, and warns once about each way to lose the surface."""

    def __init__(self, module: nn.Module, model: VolumeModel, last: int) -> None:
        """module: holds all trained parameters, those of the model too; last: the last step of the training."""
        self._module, self._model, self._patience = module, model, max(PATIENCE, last // 4)
        device = model.occupancy.value.device
        order = torch.arange(NUM_POINTS, device=device, dtype=torch.float64)[:, None]
        self._offsets = (order * torch.tensor(_SPREAD, device=device) % 1.0).float()  # (P, 3) in [0, 1], within a cell
        self._first: tuple[int, float] | None = None  # the first checked step, and its inv_s
        self._suspected: set[str] = set()
        self._warned: set[str] = set()

    @torch.no_grad()
    def probe(self) -> dict[str, Tensor]:
        """The norm of the parameters, and the smallest and largest SDF in occupied cells, each ().

        For a density, the opacity of a step takes the place of the SDF. The host reads nothing, and no random number is
        drawn."""
        occupancy = self._model.occupancy
        rank = occupancy.occupied.view(-1).cumsum(0)
        share = torch.linspace(0.0, 1.0, NUM_POINTS, device=rank.device, dtype=torch.float64)
        cells = torch.searchsorted(rank, (share * (rank[-1] - 1)).long() + 1).clamp(max=len(rank) - 1)
        points = occupancy.points_in_cells(cells, self._offsets)
        values = self._model.field_value(points) if self._model.is_sdf else self._model.occupancy_value(points)
        return dict(zip(_PROBED, (weight_norm(self._module), values.min(), values.max()), strict=True))

    def check(self, step: int, values: Mapping[str, float]) -> dict[str, float]:
        """The figures of a step without those of `probe`; empty if none have arrived.

        Warns about a symptom that two checks in a row show. Raises NotFiniteError if a figure is NaN or infinite."""
        check_figures(step, values)
        if not values:
            return {}
        # If every cell is occupied, a small object may lie between the points.
        symptoms = self._signs(step, values["least"], values["most"]) if values.get("occupied", 0.0) < 1.0 else set()
        symptoms |= self._softness(step, values.get("inv_s"))
        for name in (symptoms & self._suspected) - self._warned:
            log.warning("step %d: %s", step, _WARNINGS[name])
            self._warned.add(name)
        self._suspected = symptoms
        return {name: value for name, value in values.items() if name not in _PROBED}

    def _signs(self, step: int, least: float, most: float) -> set[str]:
        if self._model.is_sdf:
            checks = {"gone": least > 0.0, "full": most < 0.0}
        else:
            checks = {
                "clear": step >= HAZE_STEPS and most < _TRANSPARENT,
                "solid": step >= HAZE_STEPS and least > _OPAQUE,
            }
        return {name for name, holds in checks.items() if holds}

    def _softness(self, step: int, inv_s: float | None) -> set[str]:
        if inv_s is None:
            return set()
        self._first = self._first or (step, inv_s)
        since, first = self._first
        return {"soft"} if step >= since + self._patience and inv_s <= first else set()
