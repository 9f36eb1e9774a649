"""The mesh of a test pass: extracted before the views are rendered, written and compared while they are."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from models.base import VolumeModel
from systems.configs import Experiment
from systems.views import PosedViews, Shown
from utils.environment import peaks_of_stage
from utils.errors import ReconstructionError
from utils.mesh import Mesh
from utils.terminal.at_work import at_work


class MeshBeside:
    """What is left to do of a mesh when the model has been asked for it: files, comparison, a smaller one to show.

    None of that needs the device, nor threads of Numba's, which render the views of a CPU meanwhile."""

    def __init__(
        self,
        model: VolumeModel,
        experiment: Experiment,
        stem: Path,
        data: Any,
        views: Callable[[str], PosedViews],
        shown: Shown,
    ) -> None:
        """Extracts the mesh, and begins to write `<stem>-mc<R>.<format>`. data: a `Data`; the rest as for an export."""
        from systems.export.exporter import extract_mesh, small_mesh  # its import is slow, so not before training

        self.failure: ReconstructionError | None = None  # why there is no mesh
        self.surface: Mesh | None = None  # the mesh in scene coordinates
        self._pool = ThreadPoolExecutor(1)
        self._model, self._shown, self._truth = model, shown, data.true_mesh
        try:
            with at_work("mesh"), peaks_of_stage(model.occupancy.value.device) as self._peaks:
                extracted = extract_mesh(model, experiment, stem, data.world_from_scene, views, shown=shown)
        except ReconstructionError as error:
            self.failure = error
            return
        self.surface = extracted.mesh
        self._written = self._pool.submit(extracted.write)
        self._compared = self._pool.submit(self._compare, stem.parent)
        self._small: Future[Mesh] = self._pool.submit(small_mesh, extracted.mesh)

    def _compare(self, folder: Path) -> dict[str, Any]:
        from systems.export.against_truth import compare_with_truth

        if self._truth is None:
            return {}
        return compare_with_truth([folder / name for name in self._written.result()["files"]], self._truth)

    def finish(self) -> tuple[dict[str, Any], dict[str, Any], Mesh | None]:
        """Waits for the rest. The report of the export, or why there is none; what to add to that of the pass; a
        smaller mesh with colours. Raises what writing raised."""
        from systems.export.exporter import preview_mesh

        with self._pool, at_work("files of the mesh"):
            if self.failure is not None:
                return {"error": str(self.failure)}, {}, None
            written, compared = self._written.result(), self._compared.result()
            return written | self._peaks, compared, preview_mesh(self._small.result(), self._model, self._shown)

    def drop(self) -> None:
        """Lets go of what has not begun, after an error elsewhere."""
        self._pool.shutdown(wait=False, cancel_futures=True)
