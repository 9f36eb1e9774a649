"""What is computed at the points of a mesh."""

import numpy as np
import torch

from systems.export import exporter, postprocess, usdz
from utils.memory import in_rows


def test_points_are_evaluated_in_whole_rows_on_a_gpu(monkeypatch):
    points, sizes = np.arange(75.0).reshape(25, 3), []
    monkeypatch.setattr(postprocess, "in_rows", lambda num, device: in_rows(num, torch.device("cuda")))
    found = postprocess.evaluate_points(
        points, lambda part: sizes.append(len(part)) or 2.0 * part, torch.device("cpu"), 20
    )
    assert sizes == [32, 16]
    assert np.array_equal(found, 2.0 * points)


def test_libraries_of_usd_are_loaded_before_threads_write(monkeypatch):
    loaded = []
    monkeypatch.setattr(usdz, "load_libraries", lambda: loaded.append("usd"))
    assert list(exporter._writers(("ply", "glb"))) == ["ply", "glb"]
    assert loaded == []
    assert list(exporter._writers(("usdz", "ply"))) == ["usdz", "ply"]
    assert loaded == ["usd"]
