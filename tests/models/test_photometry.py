"""Colours as photographs show them: their exposures, and the vignettes and response curves of their cameras."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from models.photographs.lookup import rows_of
from models.photographs.photometry import AsShown, Exposure, Optics, Photometry, cameras_of, respond
from utils.rays import Photographs, RayBatch

WHITE = torch.ones(3)
HEIGHTS = torch.tensor([30, 30, 40, 30])


def photographs(dtype: torch.dtype = torch.float32) -> Photographs:
    """Four photographs, the third one upright; the last has its principal point in its upper left corner."""
    widths = torch.tensor([40, 40, 30, 40])
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), (widths * HEIGHTS).cumsum(0)[:-1]])
    intrinsics = [[50.0, 50, 20, 15], [50.0, 50.2, 20, 15], [50.0, 50, 15, 20], [50.0, 50, 0, 0]]
    pixels = torch.zeros(int((widths * HEIGHTS).sum()), 3, dtype=torch.uint8)
    return Photographs(pixels, starts, widths, torch.zeros(4, 3, 4), torch.tensor(intrinsics, dtype=dtype), 0.0, 9.0)


def batch_of(num: int, mask: Tensor | None = None, images: int = 4) -> RayBatch:
    """Random pixels of the photographs."""
    all_of_them = photographs()
    image = torch.randint(images, (num,))
    pixel = all_of_them.starts[image] + torch.randint(1200, (num,))
    return RayBatch(None, torch.rand(num, 3), mask, WHITE, image, pixel)


def all_parts(scale: float, dtype: torch.dtype = torch.float32) -> Photometry:
    """Everything that can be learned, with random values."""
    views = photographs(dtype)
    exposure, optics = Exposure(4).to(dtype), Optics(cameras_of(views, HEIGHTS), vignette=True, response=True)
    for part in (*exposure.parameters(), *optics.parameters()):
        torch.nn.init.normal_(part, std=scale)
    return Photometry(exposure, optics, optics.frames(views, HEIGHTS))


@pytest.mark.parametrize("mask", [None, torch.ones(50)], ids=["no mask", "mask"])
def test_it_starts_as_the_identity(mask: Tensor | None) -> None:
    rgb, opacity = torch.rand(50, 3), torch.rand(50)
    assert_close(all_parts(0.0)(rgb, opacity, batch_of(50, mask)), rgb)
    assert all_parts(0.0).prior().item() == 0.0


def test_gains_and_offsets_are_the_identity_on_average() -> None:
    exposure, batch = Exposure(4), batch_of(20)
    torch.nn.init.normal_(exposure.affine)
    rgb = torch.rand(20, 3)
    centred = exposure.affine - exposure.affine.mean(dim=0)
    assert_close(exposure.centred.sum(dim=0), torch.zeros(2, 3))
    expected = [color * centred[i, 0].exp() + centred[i, 1] for color, i in zip(rgb, batch.image, strict=True)]
    assert_close(Photometry(exposure)(rgb, torch.rand(20), batch), torch.stack(expected))
    moved = Exposure(4)
    moved.affine.data = exposure.affine.data + 0.7  # all photographs brighter, and the scene darker: the same
    assert_close(Photometry(moved)(rgb, torch.rand(20), batch), torch.stack(expected))


@pytest.mark.parametrize("mask", [None, torch.ones(20)], ids=["no mask", "mask"])
def test_colours_without_a_photograph_are_shown_as_that_of_the_median_exposure_would(mask: Tensor | None) -> None:
    exposure = Exposure(5)
    exposure.affine.data[:, 0] = torch.tensor([[0.2], [-0.4], [1.5], [-0.1], [-0.3]])
    exposure.affine.data[:, 1] = torch.tensor(
        [[0.4, 0.0, 0.1], [-0.1, -0.2, 0], [0.5, 0.1, 0.2], [-0.05, -0.1, 0.05], [-0.06, -0.15, 0.01]]
    )
    batch = replace(batch_of(20, mask), image=torch.full((20,), 3))  # that of the median, in each channel
    opacity = torch.rand(20)
    rgb = opacity[:, None] * torch.rand(20, 3) + (1.0 - opacity)[:, None] * WHITE
    shown = AsShown(exposure, has_masks=mask is not None)
    assert_close(shown(rgb, opacity, WHITE), Photometry(exposure)(rgb, opacity, batch).detach())
    assert not shown(rgb).requires_grad
    assert_close(shown(rgb), Photometry(exposure)(rgb, torch.ones(20), batch).detach())  # on a surface
    assert AsShown(None, mask is not None)(rgb, opacity, WHITE) is rgb
    exposure.affine.data += 0.7  # all photographs brighter, and the scene darker: the same
    assert_close(shown(rgb, opacity, WHITE), Photometry(exposure)(rgb, opacity, batch).detach())


def test_the_median_of_an_even_number_of_exposures_lies_between_two() -> None:
    exposure = Exposure(4)
    exposure.affine.data[:, 0, 1] = torch.tensor([3.0, 0.0, 0.4, 0.6])
    assert_close(exposure.median[0], torch.tensor([0.0, 0.5 - 1.0, 0.0]))


def test_a_scene_is_shown_as_bright_as_most_photographs_have_it() -> None:
    torch.manual_seed(0)
    light, brightness = 0.2 + 0.6 * torch.rand(30, 3), torch.tensor([0.55, 0.6, 1.0, 0.6, 0.65, 0.6, 1.1])
    truth, exposure = brightness[:, None, None] * light, Exposure(7)
    found = torch.full((30, 3), 0.5, requires_grad=True)
    optimizer = torch.optim.Adam([found, *exposure.parameters()], lr=0.03)
    image = torch.arange(7).repeat_interleave(30)
    for _ in range(250):
        seen = exposure(found.repeat(7, 1), torch.ones(210, 1), image)
        loss = 10.0 * (seen - truth.view(-1, 3)).square().mean() + 1e-4 * exposure.prior()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert_close(AsShown(exposure)(found.detach()), 0.6 * light, atol=0.01, rtol=0.0)
    assert ((found / light).median() - 0.6).abs() > 0.05  # as the model has it


def test_distances_are_in_half_diagonals_from_the_principal_point() -> None:
    views = photographs()
    frames = Optics(cameras_of(views, HEIGHTS), vignette=True, response=False).frames(views, HEIGHTS)
    column, row, width = (
        torch.tensor([0, 39, 7, 7, 39]),
        torch.tensor([0, 29, 11, 11, 29]),
        views.widths[[0, 0, 2, 3, 3]],
    )
    image = torch.tensor([0, 0, 2, 3, 3])
    found = frames.squared_radius(views.starts[image] + row * width + column, image)
    corner = (19.5**2 + 14.5**2) / 25.0**2
    away = [(7.5 - 15.0) ** 2 + (11.5 - 20.0) ** 2, 7.5**2 + 11.5**2, 39.5**2 + 29.5**2]
    assert_close(found, torch.tensor([corner, corner, *(squared / 25.0**2 for squared in away)]))


def test_a_vignette_is_one_in_the_centre_and_its_polynomial_elsewhere() -> None:
    views = photographs()
    optics = Optics(cameras_of(views, HEIGHTS), vignette=True, response=False)
    optics.vignette.data[0] = torch.tensor([-0.3, 0.1, -0.2])
    seen = Photometry(optics=optics, frames=optics.frames(views, HEIGHTS))
    views_of_one = replace(batch_of(1), image=torch.tensor([1]), pixel=views.starts[1:2] + 15 * 40 + 20)
    near = seen(torch.full((1, 3), 0.5), torch.ones(1), views_of_one)
    assert_close(near, torch.full((1, 3), 0.5), atol=5e-4, rtol=0.0)  # half a pixel from the centre
    far = seen(torch.full((1, 3), 0.5), torch.ones(1), replace(views_of_one, pixel=views.starts[1:2]))
    r2 = torch.tensor((19.5**2 + 14.5**2) / 25.0**2)
    assert_close(far[0], (0.5 * (-0.3 * r2 + 0.1 * r2**2 - 0.2 * r2**3).exp()).expand(3))


def test_photographs_of_one_size_and_lens_share_a_camera_and_an_unknown_one_is_left_alone() -> None:
    views = photographs()
    cameras = cameras_of(views, HEIGHTS)
    assert_close(cameras[:, [0, 1, 4]], torch.tensor([[40.0, 30, 20], [30, 40, 15], [40, 30, 0]]))
    optics = Optics(cameras, vignette=True, response=True)
    assert optics.frames(views, HEIGHTS).cameras.tolist() == [0, 0, 1, 2]
    torch.nn.init.normal_(optics.vignette)
    torch.nn.init.normal_(optics.response)
    other = replace(views, intrinsics=views.intrinsics + torch.tensor([[9.0], [0.1], [0.0], [0.0]]))  # held out
    frames = optics.frames(other, HEIGHTS)
    assert frames.cameras.tolist() == [3, 0, 1, 2]
    rgb, batch = torch.rand(60, 3), batch_of(60)
    shown = Photometry(optics=optics, frames=frames)(rgb, torch.ones(60), batch)
    assert_close(shown[batch.image == 0], rgb[batch.image == 0])
    assert (shown - rgb)[batch.image > 0].abs().max() > 0.01


@pytest.mark.parametrize("p", [-3.0, -0.4, 0.0, 0.4, 3.0])
def test_a_response_rises_from_0_to_1(p: float) -> None:
    x = torch.linspace(-0.5, 1.5, 2001, dtype=torch.float64, requires_grad=True)
    curve = torch.tensor(p, dtype=torch.float64).tanh()
    y = respond(x, curve)
    assert_close(y.detach()[[500, 1500]], torch.tensor([0.0, 1.0], dtype=torch.float64))
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert slope.min() > 0.0
    assert slope.diff().abs().max() < 3e-3  # no kink where the tangents begin


def test_a_background_that_was_painted_in_is_not_exposed() -> None:
    seen, opacity = all_parts(0.3), torch.tensor([0.0, 0.4, 1.0])
    batch = batch_of(3, torch.ones(3))
    light = torch.rand(3, 3)
    found = seen(opacity[:, None] * light + (1.0 - opacity)[:, None] * WHITE, opacity, batch)
    assert_close(found[0], WHITE)
    alone = seen(light, opacity, replace(batch, mask=None))  # the same colours, all of each pixel
    assert_close(found, opacity[:, None] * alone + (1.0 - opacity)[:, None] * WHITE)


@pytest.mark.parametrize("mask", [None, torch.ones(12)], ids=["no mask", "mask"])
def test_gradients(mask: Tensor | None) -> None:
    seen, batch = all_parts(0.2, torch.float64), batch_of(12, mask)
    opacity = (0.2 + 0.7 * torch.rand(12, dtype=torch.float64)).requires_grad_()
    rgb = (0.9 * opacity.detach()[:, None] * torch.rand(12, 3, dtype=torch.float64)).requires_grad_()
    batch = replace(batch, background=torch.zeros(3, dtype=torch.float64))
    learned = [*seen.exposure.parameters(), *seen.optics.parameters()]

    def shown(rgb: Tensor, opacity: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        return seen(rgb, opacity, batch), seen.prior()

    assert torch.autograd.gradcheck(shown, (rgb, opacity, *learned))


def test_an_empty_ray_has_finite_gradients() -> None:
    seen, opacity = all_parts(0.2), torch.zeros(4, requires_grad=True)
    rgb = torch.zeros(4, 3, requires_grad=True)
    seen(rgb, opacity, replace(batch_of(4, torch.ones(4)), background=torch.zeros(3))).sum().backward()
    assert rgb.grad.isfinite().all()
    assert opacity.grad.isfinite().all()


def test_the_host_reads_nothing() -> None:
    """Tensors without values stand for those of a GPU whose work is recorded: to read one is an error."""
    seen, batch = all_parts(0.1), batch_of(30, torch.ones(30))
    exposure, optics = seen.exposure.to("meta"), seen.optics.to("meta")
    frames = replace(seen.frames, **{name: value.to("meta") for name, value in vars(seen.frames).items()})
    tensors = {name: getattr(batch, name).to("meta") for name in ("mask", "background", "image", "pixel")}
    without = Photometry(exposure, optics, frames)
    shown = without(torch.rand(30, 3, device="meta"), torch.rand(30, device="meta"), replace(batch, **tensors))
    (shown.sum() + without.prior()).backward()
    assert shown.shape == (30, 3)
    assert optics.vignette.grad.shape == (3, 3)


def fit(seen: Photometry, loss_of: Callable[[], Tensor], extra: list[Tensor], rounds: int = 40) -> None:
    parts = [part for part in (seen.exposure, seen.optics) if part is not None]
    learned = [*extra, *(parameter for part in parts for parameter in part.parameters())]
    optimizer = torch.optim.LBFGS(
        learned, max_iter=50, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss

    for _ in range(rounds):
        if optimizer.step(closure).item() < 1e-8:
            break


def test_exposures_vignettes_and_responses_are_found_together_with_the_colours_of_the_scene() -> None:
    """Points that all photographs show, somewhere; only their gauge is not determined: the mean gain of all."""
    views, points, each = photographs(torch.float64), 300, 4
    truth = all_parts(0.0, torch.float64)
    gains = torch.tensor([[0.4, 0.2, 0.0], [-0.3, 0.1, 0.2], [0.2, -0.2, -0.4], [-0.3, -0.1, 0.2]])
    truth.exposure.affine.data[:, 0] = gains.double()
    truth.optics.vignette.data[:] = torch.tensor([[-0.3, 0.1, -0.1], [-0.2, -0.1, 0.0], [-0.1, -0.02, 0.0]]).double()
    truth.optics.response.data[:] = torch.tensor([[0.3, 0.1, -0.2]] * 3).double()
    colors = 0.05 + 0.5 * torch.rand(points, 3, dtype=torch.float64)
    image = torch.arange(each).repeat(points)
    batch = replace(batch_of(each * points), image=image, pixel=views.starts[image] + torch.randint(1200, image.shape))
    opacity = torch.ones(len(image), dtype=torch.float64)
    with torch.no_grad():
        photographed = truth(colors.repeat_interleave(each, 0), opacity, batch)

    seen = all_parts(0.0, torch.float64)
    found = torch.full_like(colors, 0.3).requires_grad_()
    fit(seen, lambda: (seen(found.repeat_interleave(each, 0), opacity, batch) - photographed).square().sum(), [found])
    assert_close(seen.exposure.centred, truth.exposure.centred, atol=2e-3, rtol=0.0)
    assert_close(seen.optics.vignette.detach(), truth.optics.vignette.detach(), atol=5e-3, rtol=0.0)
    assert_close(seen.optics.response.detach(), truth.optics.response.detach(), atol=1e-2, rtol=0.0)
    assert_close(found.detach(), colors, atol=2e-3, rtol=0.0)


def test_the_prior_leaves_a_gain_one_percent_short() -> None:
    """At the weight of 0.01, beside squared errors that weigh 10, where the mean squared colour is 0.1."""
    seen, batch = Photometry(Exposure(4).double()), batch_of(400)
    colors, opacity = torch.full((400, 3), 0.1**0.5, dtype=torch.float64), torch.ones(400, dtype=torch.float64)
    batch = replace(batch, image=torch.arange(4).repeat(100))
    gains = torch.tensor([0.02, -0.01, -0.02, 0.01], dtype=torch.float64)
    photographed = colors * gains[batch.image, None].exp()

    def pull(share: float) -> Tensor:
        """(4, 3) the gradient in the log gains where they are a share of the true ones."""
        seen.exposure.affine.data[:, 0] = share * gains[:, None]
        loss = 10.0 * (seen(colors, opacity, batch) - photographed).square().mean() + 0.01 * seen.prior()
        return torch.autograd.grad(loss, seen.exposure.affine)[0][:, 0]

    assert pull(1.0).abs().min() > 0.0
    assert pull(1.0 / 1.01).abs().max() < 0.05 * pull(1.0).abs().min()


def test_what_no_photograph_tells_goes_back_to_the_identity() -> None:
    seen = all_parts(0.3)
    torch.nn.init.normal_(seen.exposure.affine, std=0.3)
    optimizer = torch.optim.Adam([*seen.exposure.parameters(), *seen.optics.parameters()], lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        (0.01 * seen.prior()).backward()
        optimizer.step()
    assert seen.exposure.centred.abs().max() < 0.02
    assert max(float(part.detach().abs().max()) for part in seen.optics.parameters()) < 0.02


def test_a_checkpoint_tells_which_optics_to_make() -> None:
    views = photographs()
    for parts in ({"vignette": True, "response": False}, {"vignette": False, "response": True}):
        optics = Optics(cameras_of(views, HEIGHTS), **parts)
        state = {f"optics.{name}": value for name, value in optics.state_dict().items()}
        like = Optics.like({**state, "geometry.table": torch.zeros(3)})
        assert {f"optics.{name}": value.shape for name, value in like.state_dict().items()} == {
            name: value.shape for name, value in state.items()
        }
    assert Optics.like({"exposure.affine": torch.zeros(4, 2, 3)}) is None
    assert Exposure.like({"exposure.affine": torch.zeros(4, 2, 3)}).affine.shape == (4, 2, 3)
    assert Exposure.like({"optics.vignette": torch.zeros(1, 3)}) is None


@pytest.mark.parametrize("shape", [(7,), (7, 3), (7, 2, 3)])
def test_rows_that_are_looked_up_are_those_of_an_index_gradients_too(shape):
    table = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([3, 3, 0, 6, 3])
    torch.testing.assert_close(rows_of(table, index), table[index])
    assert torch.autograd.gradcheck(lambda given: rows_of(given, index), table)
