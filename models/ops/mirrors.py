"""What the columns of `models.ops.reflected_columns` are told of a surface that mirrors."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MirrorSpec:
    """How harmonics see the direction in which a view is reflected."""

    degree: int  # of the harmonics: their orders are below it
    # of the lobe that sees it, >= 0: order l is weighed by exp(-roughness l (l + 1) / 2), a mirror's by 1
    roughness: float
    # None: all is reflected. Otherwise the last feature of a point tells which share: sigmoid(feature + offset); the
    # rest of the harmonics are of the direction to the camera, and no lobe weighs them
    offset: float | None = None
