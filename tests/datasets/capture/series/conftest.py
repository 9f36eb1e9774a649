"""What the tests of series share."""

import pytest


@pytest.fixture(autouse=True)
def _coarse_voxels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Voxels of a pixel or two of the small photographs, as the usual ones are of photographs of 640 pixels."""
    from datasets.capture.masks import carving  # only now: it needs pycolmap, without which these tests are skipped

    monkeypatch.setattr(carving, "_COARSE", 28)
    monkeypatch.setattr(carving, "_FINE", 56)
