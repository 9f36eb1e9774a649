"""Shows in TensorBoard, beside the curves, views, the mesh, and the config with its figures as hyperparameters."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image

from systems.configs import Experiment
from utils.config.difference import flatten
from utils.config.schema import to_dict
from utils.config.text import as_yaml
from utils.mesh import Mesh

_PICTURES = 6  # of a test pass
_COMPARED = ("psnr", "ssim", "chamfer", "fscore_1pct")


class Board:
    """Writes to those loggers that are TensorBoard's, during validation and test."""

    def __init__(self, loggers: Iterable[Any], experiment: Experiment) -> None:
        self._loggers = [logger for logger in loggers if isinstance(logger, pl.loggers.TensorBoardLogger)]
        self._config = to_dict(experiment)
        self._is_config_shown = False

    def show_picture(self, name: str, path: Path, step: int) -> None:
        """Shows a PNG file as it is, under the name of its pass and its own: it is not encoded again."""
        from tensorboard.compat.proto.summary_pb2 import Summary  # a start without a pass does not need it

        with Image.open(path) as header:
            width, height = header.size
        picture = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=path.read_bytes())
        for logger in self._loggers:
            summary = Summary(value=[Summary.Value(tag=f"{name}/{path.stem}", image=picture)])
            logger.experiment.file_writer.add_summary(summary, step)

    def show_files(self, name: str, folder: Path, step: int) -> None:
        """Shows some of the PNG files of a folder, spread over all."""
        paths = sorted(folder.glob("*.png"))
        chosen = {round(index) for index in np.linspace(0, len(paths) - 1, min(len(paths), _PICTURES))}
        for path in (paths[index] for index in sorted(chosen)):
            self.show_picture(name, path, step)

    def show_config(self, step: int) -> None:
        """Shows the resolved YAML, once."""
        for logger in [] if self._is_config_shown else self._loggers:
            logger.experiment.add_text("config", f"```yaml\n{as_yaml(self._config)}```", step)
        self._is_config_shown = True

    def show_mesh(self, mesh: Mesh, step: int) -> None:
        """Shows a mesh that can be turned."""
        arrays = mesh.vertices.astype(np.float32), mesh.colors, mesh.faces.astype(np.int32)
        vertices, colors, faces = (torch.from_numpy(array)[None] for array in arrays)
        for logger in self._loggers:
            logger.experiment.add_mesh("mesh", vertices, colors, faces, global_step=step)

    def show_figures(self, report: dict[str, Any], step: int) -> None:
        """Shows all keys of the config with the main figures of a test pass, for comparing runs."""
        figures = report | report.get("mesh_against_gt", {})
        named = {f"hparam/{name}": figures[name] for name in _COMPARED if name in figures}
        for logger in self._loggers:
            logger.log_hyperparams(hyperparameters(self._config), named, step)
            logger.save()


def hyperparameters(config: dict[str, Any]) -> dict[str, bool | int | float | str]:
    """Dotted key -> value of a plain tree; lists, null and empty blocks as text."""
    return {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in flatten(config).items()
    }
