"""Pixels are drawn where errors were, and only as many as asked for."""

import pytest
import torch
from torch.testing import assert_close

from systems.steps.error_map import CELL, MIN_ERROR, ErrorMap
from utils.rays import Photographs

WIDTHS, HEIGHTS = torch.tensor([40, 20]), torch.tensor([33, 16])  # 3 x 3 cells and 2 x 1, those at the edges cut
STARTS, NUM = torch.tensor([0, 40 * 33]), 40 * 33 + 20 * 16


def make(share: float, device: torch.device) -> ErrorMap:
    cameras = torch.zeros(2, 3, 4), torch.zeros(2, 4)
    pixels = torch.zeros(NUM, 3, dtype=torch.uint8)
    tensors = (tensor.to(device) for tensor in (pixels, STARTS, WIDTHS, *cameras))
    return ErrorMap(share, Photographs(*tensors, 0.0, 1.0), HEIGHTS.to(device))


def everywhere(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    pixel = torch.arange(NUM, device=device)
    return pixel, (pixel >= STARTS[1]).long()


def learn(found: ErrorMap, error: torch.Tensor) -> None:
    pixel, image = everywhere(error.device)
    found.update(pixel, image, error, torch.ones_like(pixel, dtype=torch.bool))


def drawn(found: ErrorMap, seed: int = 0, num: int = 40_000) -> tuple[torch.Tensor, torch.Tensor]:
    device = found.error.device
    generator = torch.Generator(device).manual_seed(seed)
    zero = torch.zeros(num, dtype=torch.int64, device=device)
    return found(zero, zero, generator)


def test_pixels_are_drawn_in_proportion_to_the_error_of_their_cell(device: torch.device) -> None:
    found = make(1.0, device)
    pixel, image = everywhere(device)
    within = pixel - STARTS.to(device)[image]
    width = WIDTHS.to(device)[image]
    corner = (image == 0) & (within % width >= 2 * CELL) & (within // width >= 2 * CELL)  # 8 x 1 pixels
    learn(found, torch.where(corner, 0.9, 0.01))
    chosen, images = drawn(found)
    assert (torch.bincount(chosen, minlength=NUM) > 0).float().mean() > 0.99  # each pixel of each image can be drawn
    assert torch.equal(images, (chosen >= STARTS[1]).long())
    expected = 0.9 * 8 / (0.9 * 8 + 0.01 * (NUM - 8))
    assert corner[chosen].float().mean().item() == pytest.approx(expected, abs=0.01)
    spread = torch.bincount(chosen[corner[chosen]], minlength=NUM)[corner]
    assert spread.max() < 1.2 * spread.min()


def test_a_share_is_redirected_and_the_rest_stays(device: torch.device) -> None:
    found = make(0.3, device)
    learn(found, torch.full((NUM,), 0.1, device=device))
    assert (drawn(found)[0] > 0).float().mean().item() == pytest.approx(0.3, abs=0.01)


def test_unseen_cells_count_as_the_mean_and_none_is_lost(device: torch.device) -> None:
    found = make(1.0, device)
    assert torch.bincount(drawn(found)[0], minlength=NUM).min() > 5  # knows nothing yet: evenly
    some = torch.arange(4, device=device)
    found.update(some, some * 0, torch.full((4,), 0.5, device=device), torch.ones(4, dtype=torch.bool, device=device))
    assert torch.bincount(drawn(found)[0], minlength=NUM).min() > 5
    learn(found, torch.zeros(NUM, device=device))
    assert (found._weights() >= MIN_ERROR).all()


def test_the_mean_follows_errors_and_leaves_out_rays_that_do_not_count(device: torch.device) -> None:
    found = make(0.5, device)
    pixel, image = torch.tensor([[0, 1, 2], [0, 0, 0]], device=device)
    counts = torch.tensor([True, True, False], device=device)
    found.update(pixel, image, torch.tensor([0.2, 0.4, 9.0], device=device), counts)
    assert_close(found.error[0].item(), 0.3)
    found.update(pixel, image, torch.tensor([1.3, 1.3, 9.0], device=device), counts)
    assert_close(found.error[0].item(), 0.4)
    found.update(pixel, image, torch.tensor([9.0, 9.0, 9.0], device=device), torch.zeros_like(counts))
    assert_close(found.error[0].item(), 0.4)
    assert found.met.sum() == 1


def test_the_same_seed_and_state_draw_the_same(device: torch.device) -> None:
    first, second = make(0.5, device), make(0.5, device)
    learn(first, torch.rand(NUM, device=device))
    second.load_state_dict(first.state_dict())
    assert torch.equal(drawn(first)[0], drawn(second)[0])
    assert not torch.equal(drawn(first)[0], drawn(first, seed=1)[0])
