"""Whether a photograph is the one that a model of points was made from: their colours are those of its pixels.

A cropped, turned or mirrored photograph, or another of the same name, has other colours where the model saw its points,
about as other as those beside them."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from utils.errors import DataError

FEWEST = 60  # points by which a photograph is judged
MOST = 300  # that are looked at in a photograph
_FLAT = 5.0  # of 255: points whose colours deviate less tell nothing
_BESIDE = 0.03, 4.0  # of the diagonal, and pixels at least: how far beside the points the other pixels lie
_DIRECTIONS = 8
# differences at the points by those beside them: 0.2 to 0.8 in photographs that are right, by the median of a set to
# 0.45; 0.8 to 1.1 in others
_DOUBTFUL, _WRONG = 0.65, 0.8  # in the median of the photographs
_ONE_WRONG = 0.88  # in one of them
_MANY = 0.3  # share of the photographs that are wrong, from which all are refused


@dataclass(frozen=True)
class SeenPoints:
    """Where a photograph shows points of a model, and in which colours they were made."""

    positions: np.ndarray  # (K, 2) x, y in pixels of `size`, the centre of the first pixel at 0.5
    colors: np.ndarray  # (K, 3) uint8, sRGB
    size: tuple[int, int]  # width and height of the photograph as the model has it

    def unlikeness(self, image: np.ndarray) -> float | None:
        """How other the pixels of an image (H, W, 3) uint8, of any size, are than the points, by how other those beside
        them are; None where too little is there to tell."""
        if len(self.positions) < FEWEST or self.colors.std(axis=0).max() < _FLAT:
            return None
        extent = np.array(image.shape[1::-1])
        middle, blurred = self.positions * extent / self.size, cv2.blur(image, (3, 3))

        def difference(positions: np.ndarray) -> float:
            column, row = np.clip(positions.astype(np.int64), 0, extent - 1).T
            found = blurred[row, column].astype(np.float64) - self.colors
            return float(np.abs(found - np.median(found, axis=0)).mean())  # exposures differ

        angles = 2.0 * np.pi * (np.arange(_DIRECTIONS) + np.arange(len(middle))[:, None] / len(middle)) / _DIRECTIONS
        reach = max(_BESIDE[0] * float(np.linalg.norm(extent)), _BESIDE[1])
        steps = reach * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        beside = np.mean([difference(middle + steps[:, i]) for i in range(_DIRECTIONS)])
        return difference(middle) / float(beside) if beside > _FLAT / 2.0 else None


def check_photographs(unlike: Mapping[Path, float | None], folder: Path, say: Callable[[str, int], None]) -> None:
    """Raises DataError for photographs that are not those of the model; says which single ones may not be.

    unlike: of each photograph, see `SeenPoints.unlikeness`; say: takes a text and a level of logging."""
    values = {path: value for path, value in unlike.items() if value is not None}
    if not values:
        return
    wrong = [path for path, value in values.items() if value > _ONE_WRONG]
    middle = float(np.median(list(values.values())))
    told = f"of {len(wrong)} of {len(values)} photographs, first {wrong[0].name}, " if wrong else ""
    if middle > _WRONG or len(wrong) > _MANY * len(values):
        raise DataError(
            f"{folder}: expected the photographs that the model was made from, got others: {told}the colours are not "
            f"those of the points that the model saw there. They may be cropped, turned, mirrored or have each other's "
            f"names. Use those that the model was made from, at any size, with their pixels as stored there."
        )
    if wrong or middle > _DOUBTFUL:
        which = told or f"of all {len(values)} photographs "
        say(
            f"{folder}: {which}the colours are hardly those of the points that the model saw there: they may be "
            f"cropped, turned or have the name of another",
            logging.WARNING,
        )
