"""Watches a training for NaN and for a surface that is lost, by figures that a logging step leaves on the device."""

import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.base import VolumeModel
from systems.steps.finite import check_figures, weight_norm

log = logging.getLogger(__name__)
CHECKED_EVERY = 100  # steps, at least: where trainer.log_every_n_steps is more, figures are read in between too
PLACES = 1024  # points in occupied cells
FAITH = 500  # steps before which nothing is said of opacities: a density begins as haze
PATIENCE = 1000  # steps in which inv_s need not have risen
_TRANSPARENT, _OPAQUE = 1e-4, 0.9  # of one step through a cell
_SPREAD = 0.8191725, 0.6710436, 0.5497005  # powers of 0.8191725...: their multiples fill a cube evenly
_OWN = ("parameters", "least", "most")  # figures of no use as curves
_REMEDY = "Check model.radius and the masks (dataset.apply_mask), or lower system.optimizer.args.lr"
_TOLD = {
    "gone": f"the SDF is positive wherever samples lie, so no surface is left. {_REMEDY}.",
    "full": f"the SDF is negative wherever samples lie, so all is inside. {_REMEDY}.",
    "clear": f"everything is transparent, so nothing is learned. {_REMEDY}.",
    "solid": f"everything is opaque, so only the first samples of rays are learned. {_REMEDY}.",
    "soft": "inv_s has not risen since the training began, so the surface stays soft. Raise the learning rate "
    "of variance (system.optimizer.params.variance.lr).",
}


class DivergenceMonitor:
    """Ends a training in which numbers are none, and warns once of each way in which its surface may be lost."""

    def __init__(self, module: nn.Module, model: VolumeModel, last: int) -> None:
        """module: whose parameters are trained, the model among it; last: step of the training."""
        self._module, self._model, self._patience = module, model, max(PATIENCE, last // 4)
        device = model.occupancy.value.device
        order = torch.arange(PLACES, device=device, dtype=torch.float64)[:, None]
        self._within = (order * torch.tensor(_SPREAD, device=device) % 1.0).float()  # (P, 3) of a cell's sides
        self._begun: tuple[int, float] | None = None  # the first step that was seen, and its inv_s
        self._suspected: set[str] = set()
        self._said: set[str] = set()

    @torch.no_grad()
    def probe(self) -> dict[str, Tensor]:
        """Norm of the parameters; least and greatest signed distance (of a density: opacity of a step) in cells where
        samples may lie; each (). The host reads nothing, and no random number is drawn."""
        occupancy = self._model.occupancy
        rank = occupancy.occupied.view(-1).cumsum(0)
        share = torch.linspace(0.0, 1.0, PLACES, device=rank.device, dtype=torch.float64)
        cells = torch.searchsorted(rank, (share * (rank[-1] - 1)).long() + 1).clamp(max=len(rank) - 1)
        points = occupancy.points_in_cells(cells, self._within)
        values = self._model.field_value(points) if self._model.is_sdf else self._model.occupancy_value(points)
        return dict(zip(_OWN, (weight_norm(self._module), values.min(), values.max()), strict=True))

    def check(self, step: int, values: Mapping[str, float]) -> dict[str, float]:
        """The figures of a step without those that `probe` gave; none where there are none yet.

        Warns where two in a row show the same. Raises NotFiniteError where one is NaN or infinity."""
        check_figures(step, values)
        if not values:
            return {}
        # Where every cell is occupied, a small object may lie between the places.
        found = self._signs(step, values["least"], values["most"]) if values.get("occupied", 0.0) < 1.0 else set()
        found |= self._softness(step, values.get("inv_s"))
        for name in (found & self._suspected) - self._said:
            log.warning("step %d: %s", step, _TOLD[name])
            self._said.add(name)
        self._suspected = found
        return {name: value for name, value in values.items() if name not in _OWN}

    def _signs(self, step: int, least: float, most: float) -> set[str]:
        if self._model.is_sdf:
            checks = {"gone": least > 0.0, "full": most < 0.0}
        else:
            checks = {"clear": step >= FAITH and most < _TRANSPARENT, "solid": step >= FAITH and least > _OPAQUE}
        return {name for name, holds in checks.items() if holds}

    def _softness(self, step: int, inv_s: float | None) -> set[str]:
        if inv_s is None:
            return set()
        self._begun = self._begun or (step, inv_s)
        since, first = self._begun
        return {"soft"} if step >= since + self._patience and inv_s <= first else set()
