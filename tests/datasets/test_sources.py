"""Photographs as patches see them: grey, what does not count, and noise."""

import numpy as np
import pytest
import torch

from datasets import sources
from datasets.sources import MIN_NOISE, grey_codes, noise_of

CPU = torch.device("cpu")


def test_grey_is_the_mean_of_the_channels_and_never_the_code_of_what_does_not_count() -> None:
    colours = torch.tensor([[0, 0, 0], [9, 9, 9], [10, 20, 31], [250, 252, 253], [253, 253, 253]], dtype=torch.uint8)
    assert grey_codes(colours, CPU).tolist() == [1, 9, 20, 252, 253]


def test_what_is_over_exposed_or_beside_the_mask_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CHUNK", 2)
    shown, hidden = [90, 90, 90, 255], [90, 90, 90, 127]
    pixels = torch.tensor([shown, hidden, [254, 90, 90, 255], [90, 90, 255, 255], [90, 90, 90, 128]], dtype=torch.uint8)
    assert grey_codes(pixels, CPU).tolist() == [90, 0, 0, 0, 90]
    assert grey_codes(pixels[:, :3], CPU).tolist() == [90, 90, 0, 0, 90]


@pytest.mark.parametrize("sigma", [2.0, 5.0, 12.0])
def test_noise_is_told_from_slopes_and_edges(sigma: float) -> None:
    rng = np.random.default_rng(0)
    plain = np.add.outer(np.arange(120.0), 0.5 * np.arange(160.0))
    plain[40:, 60:] -= 30.0
    codes = torch.from_numpy((plain + rng.normal(40.0, sigma, plain.shape)).clip(1, 253).round().astype(np.uint8))
    assert float(noise_of(codes)) == pytest.approx(sigma / 255.0, rel=0.15)
    codes[:, ::2] = 0  # nothing is left whose neighbours all count
    assert float(noise_of(codes)) == pytest.approx(MIN_NOISE)


def test_a_clean_or_tiny_photograph_has_the_least_noise() -> None:
    assert float(noise_of(torch.full((50, 60), 90, dtype=torch.uint8))) == pytest.approx(MIN_NOISE)
    assert float(noise_of(torch.full((1, 2), 90, dtype=torch.uint8))) == pytest.approx(MIN_NOISE)
