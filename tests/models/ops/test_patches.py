"""Patches in two photographs: every backend against the float64 reference, which is held to differences and to cases
that can and that cannot be compared."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from models.ops import PatchSpec, compare_patches
from models.ops.reference.patches import correlation, grey_between
from utils.rays import Photographs, SourceViews

SIZES = [(40, 36), (44, 40), (40, 40)]  # width, height
FOCAL = 50.0
SPEC = PatchSpec(9, 2)


def drawn(width: int, height: int) -> Tensor:
    """(height * width,) codes of waves."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = torch.sin(0.7 * x + 0.2 * y) + torch.sin(0.9 * y - 0.3 * x) + 0.7 * torch.sin(0.45 * x * 1.3 + 0.6 * y)
    return (120.0 + 35.0 * waves).round().to(torch.uint8).flatten()


def sources(device: torch.device) -> SourceViews:
    """Three photographs of one drawing; all cameras look at its middle."""
    counts = torch.tensor([width * height for width, height in SIZES])
    photographs = Photographs(
        torch.zeros(int(counts.sum()), 3, dtype=torch.uint8),
        counts.cumsum(0) - counts,
        torch.tensor([width for width, _ in SIZES]),
        torch.zeros(3, 3, 4),
        torch.tensor([[FOCAL, FOCAL, 0.5 * width, 0.5 * height] for width, height in SIZES]),
        0.1,
        9.0,
    )
    on_device = {name: getattr(photographs, name).to(device) for name in ("pixels", "starts", "widths", "c2w")}
    photographs = replace(photographs, **on_device, intrinsics=photographs.intrinsics.to(device))
    grey = torch.cat([drawn(width, height) for width, height in SIZES]).to(device)
    heights = torch.tensor([height for _, height in SIZES], device=device)
    return SourceViews(photographs, heights, heights[:, None] * 0, grey, torch.full((3,), 0.005, device=device))


def case(views: SourceViews, column: int = 20, row: int = 18, scale: float = 1.0) -> tuple[Tensor, ...]:
    """A patch of photograph 0 in photograph 1, enlarged around the middle of the picture."""
    device = views.grey.device
    homography = torch.diag(torch.tensor([scale, scale, 1.0])).to(device).view(1, 1, 3, 3)
    pixel = torch.tensor([row * SIZES[0][0] + column], device=device)
    return homography, pixel, torch.zeros_like(pixel), torch.ones_like(pixel)[:, None]


def random_cases(device: torch.device, num: int = 12) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(4)
    noise = torch.randn(num, 2, 3, 3, generator=generator) * torch.tensor([[0.1], [0.1], [0.05]])
    image = torch.randint(3, (num,), generator=generator)
    others = torch.stack([(image + 1) % 3, (image + 2) % 3], dim=1)
    column, row = torch.randint(2, 38, (2, num), generator=generator).clamp(max=35)
    widths, starts = torch.tensor([40, 44, 40]), torch.tensor([0, 1440, 3200])
    pixel = starts[image] + row * widths[image] + column
    return tuple(x.to(device) for x in (torch.eye(3) + noise, pixel, image, others))


def test_every_backend_agrees_with_the_reference_in_float64(backend: str, device: torch.device) -> None:
    views = sources(device)
    views.grey[torch.rand(len(views.grey), generator=torch.Generator().manual_seed(1)).to(device) < 0.003] = 0
    homography, *rest = random_cases(device)
    found = []
    for dtype, name in ((torch.float64, "reference"), (torch.float32, backend)):
        leaf = homography.to(dtype).requires_grad_()
        score, variance, comparable = compare_patches(leaf, *rest, views, SPEC, backend=name)
        cotangent = torch.linspace(1.0, 2.0, score.numel(), device=device, dtype=dtype).view_as(score)
        (slope,) = torch.autograd.grad(score, leaf, cotangent)
        found.append((score.detach(), variance, comparable, slope))
    assert 4 <= int(found[0][2].sum()) < found[0][2].numel() - 2
    assert torch.equal(found[0][2], found[1][2])
    for k, tolerance in ((0, 1e-4), (1, 1e-5), (3, 2e-3)):
        assert_close(found[1][k].double(), found[0][k].double(), rtol=1e-3, atol=tolerance)


def test_the_gradient_is_that_of_differences() -> None:
    views, (homography, *rest) = sources(torch.device("cpu")), random_cases(torch.device("cpu"))
    leaf = homography.double().requires_grad_()
    score, _, comparable = compare_patches(leaf, *rest, views, SPEC, backend="reference")
    (slope,) = torch.autograd.grad(score.sum(), leaf)
    for axis in range(9):
        step = torch.zeros(9, dtype=torch.float64).index_fill_(0, torch.tensor(axis), 1e-7).view(3, 3)
        low, high = (compare_patches(leaf.detach() + sign * step, *rest, views, SPEC)[0] for sign in (-1, 1))
        assert_close(slope.flatten(2)[..., axis][comparable], ((high - low) / 2e-7)[comparable], rtol=1e-3, atol=1e-4)


def test_a_patch_is_found_again_where_it_is(backend: str, device: torch.device) -> None:
    """The drawing of photograph 1 begins at its own corner: two pixels to the right and down of its middle's."""
    views = sources(device)
    homography, *rest = case(views)
    score, variance, comparable = compare_patches(homography, *rest, views, SPEC, backend=backend)
    homography[..., 0, 2] -= 2.0 / FOCAL
    homography[..., 1, 2] -= 2.0 / FOCAL
    same, again, _ = compare_patches(homography, *rest, views, SPEC, backend=backend)
    assert bool(comparable)
    assert float(same) > 0.999 > 0.9 > float(score)
    assert_close(again, variance)
    assert 0.01 < float(variance) < 0.2


def verdict(views: SourceViews, backend: str, **place: float) -> bool:
    return bool(compare_patches(*case(views, **place), views, SPEC, backend=backend)[2])


def test_a_patch_needs_its_pixels_within_both_masks(backend: str, device: torch.device) -> None:
    views, second = sources(device), 40 * 36
    at = (18 + 2) * 44 + 20 + 2 + second  # the middle of the patch in photograph 1
    assert verdict(views, backend)
    few = replace(views, grey=views.grey.clone())
    few.grey[at] = 0
    assert verdict(few, backend)
    many = replace(views, grey=views.grey.clone())
    many.grey[second : at + 44] = 0  # the upper half
    assert not verdict(many, backend)
    middle = replace(views, grey=views.grey.clone())
    middle.grey[18 * 40 + 20] = 0  # the pixel itself is beside the mask, or over-exposed
    assert not verdict(middle, backend)
    narrow = replace(views, grey=views.grey.clone())
    narrow.grey[: 18 * 40] = 0
    assert verdict(narrow, backend)  # near the outline: what lies beside it need not be in the other mask
    narrow.grey[second : at - 2 * 44] = 0
    assert verdict(narrow, backend)


def test_what_leaves_the_picture_cannot_be_compared(backend: str, device: torch.device) -> None:
    views = sources(device)
    assert verdict(views, backend, column=4, row=4)
    assert not verdict(views, backend, column=0, row=0)
    homography, *rest = case(views)
    homography[..., 0, 2] = 0.7
    assert not bool(compare_patches(homography, *rest, views, SPEC, backend=backend)[2])


@pytest.mark.parametrize(("scale", "holds"), [(0.45, False), (0.55, True), (1.9, True), (2.1, False), (-1.0, False)])
def test_a_patch_is_neither_much_larger_nor_smaller_nor_mirrored(
    scale: float, holds: bool, backend: str, device: torch.device
) -> None:
    views = sources(device)
    assert verdict(views, backend, scale=scale) == (holds or scale == -1.0)  # twice mirrored is turned by 180 degrees
    homography, *rest = case(views)
    homography[..., 0, 0] = scale
    assert bool(compare_patches(homography, *rest, views, SPEC, backend=backend)[2]) == holds


def test_a_photograph_is_not_compared_with_itself_nor_with_what_lies_behind(backend: str, device: torch.device) -> None:
    views = sources(device)
    homography, pixel, image, others = case(views)
    assert bool(compare_patches(homography, pixel, image, others, views, SPEC, backend=backend)[2])
    assert not bool(compare_patches(homography, pixel, image, others * 0, views, SPEC, backend=backend)[2])
    assert not bool(compare_patches(-homography, pixel, image, others, views, SPEC, backend=backend)[2])


def test_there_may_be_no_patch(backend: str, device: torch.device) -> None:
    views = sources(device)
    none = [x[:0] for x in case(views)]
    assert [len(x) for x in compare_patches(*none, views, SPEC, backend=backend)] == [0, 0, 0]


def test_which_pixels_are_read() -> None:
    for spec, side, first in ((PatchSpec(11), 11, -5), (PatchSpec(11, 2), 6, -5), (PatchSpec(11, 3), 4, -4)):
        assert (spec.side, spec.first) == (side, first)


def test_grey_between_pixels_is_linear_and_counts_where_all_four_do() -> None:
    grey = torch.tensor([1, 51, 101, 151, 255, 255], dtype=torch.uint8)
    photographs = Photographs(
        grey[:, None].expand(6, 3), torch.tensor([0, 4]), torch.tensor([2, 2]), torch.zeros(2, 3, 4), torch.zeros(2, 4),
        0.0, 1.0,
    )  # fmt: skip
    views = SourceViews(photographs, torch.tensor([2, 1]), torch.tensor([[1], [0]]), grey, torch.ones(2))
    xy = torch.tensor([[0.5, 0.5], [1.0, 0.5], [1.0, 1.0], [1.4, 1.0], [1.5, 9.0], [0.4, 1.0]], dtype=torch.float64)
    found, counted = grey_between(views, torch.zeros(6, dtype=torch.int64), xy)
    assert counted.tolist() == [True, True, True, True, False, False]
    assert_close(found[:4] * 255.0, torch.tensor([1.0, 26.0, 76.0, 96.0], dtype=torch.float64))
    holed = replace(views, grey=grey.clone().index_fill_(0, torch.tensor([3]), 0))
    assert not grey_between(holed, torch.zeros(6, dtype=torch.int64), xy)[1].any()


def test_correlation_knows_neither_brightness_nor_contrast() -> None:
    a, ones = torch.rand(5, 49, dtype=torch.float64), torch.ones(5, 49, dtype=torch.float64)
    assert_close(correlation(a, 0.3 * a + 0.2, ones)[0], ones[:, 0], atol=1e-3, rtol=0)
    assert (correlation(a, -a, ones)[0] < -0.99).all()


def test_pixels_that_do_not_count_change_nothing() -> None:
    a, b = torch.rand(2, 5, 49, dtype=torch.float64)
    weights = (torch.arange(49) < 30).double().expand(5, 49)
    assert_close(correlation(a, b, weights)[0], correlation(a[:, :30], b[:, :30], weights[:, :30])[0])
    spoiled = torch.where(weights > 0, a, 7.0)
    assert_close(correlation(spoiled, b, weights)[0], correlation(a, b, weights)[0])
