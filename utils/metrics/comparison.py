"""How two meshes are compared: how many points, to how many, and what counts; free of what measures them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from utils.mesh.visibility import MaskCull, Viewpoint

SHARES = {"0.5pct": 0.005, "1pct": 0.01}  # thresholds of the F-scores, as shares of the true mesh's box diagonal


@dataclass(frozen=True)
class Culling:
    """What is left out because no camera could have seen it."""

    views: "Sequence[Viewpoint]"
    masks: "MaskCull" = "any"  # which predicted points count, see `in_views`
    hidden: bool = False  # predicted points that the prediction itself hides from all cameras do not count


@dataclass(frozen=True)
class Comparison:
    """How a mesh is compared: by a run and by scripts/evaluate.py alike, unless that is told otherwise."""

    samples: int = 100_000  # points measured on each mesh
    dense: int = 8  # so many times as many points to measure to: less noise, more time
    seed: int = 0
    culling: Culling | None = None
    box: np.ndarray | None = None  # (2, 3) lowest and highest corner of what counts; None: everything
    per_diagonal: bool = False  # distances as shares of the true mesh's box diagonal

    def told(self) -> dict[str, Any]:
        """How points are sampled, for the figures to say."""
        culled = self.culling is not None or self.box is not None
        return {"samples": self.samples, "dense": self.dense, "seed": self.seed, "culled": culled}
