"""Relit surfaces are compared with the truth but for one factor of each channel."""

import numpy as np
import pytest

from benchmarks.scenes.lights import LIGHTS, map_directions
from benchmarks.scenes.relit import aligned, psnr
from utils.images import srgb_from_linear


def test_a_factor_of_each_channel_does_not_count() -> None:
    matt, gloss = np.random.default_rng(0).uniform(0.05, 0.3, (2, 200, 3))
    truth = srgb_from_linear(matt * [0.5, 1.0, 2.0] + gloss)
    factors, shown = aligned(matt, gloss, truth)
    assert factors == pytest.approx([0.5, 1.0, 2.0], rel=1e-3)
    assert psnr(shown, truth) > 60.0


def test_lights_differ_and_shine_from_where_they_say() -> None:
    toward = map_directions(24)
    np.testing.assert_allclose(np.linalg.norm(toward, axis=-1), 1.0)
    day, evening = (LIGHTS[name].sky(toward).sum(axis=-1) for name in ("day", "evening"))
    assert day[:12].mean() > 3.0 * day[12:].mean()  # from above
    assert toward.reshape(-1, 3)[evening.argmax()] @ [-0.75, -0.55, 0.35] > 0.98
