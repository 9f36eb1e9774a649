"""How much time visitors get, and what fits into it."""

import pytest

from systems.viewer.budget import MAX_PIXELS, MESH_RESOLUTIONS, MIN_PIXELS, MeshSizer, PictureSizer, TimeBudget


def test_no_more_than_the_share_is_spent_however_long_a_piece_of_work_is():
    credit, trained, spent = TimeBudget(0.06, 0.5), 0.0, 0.0
    for step in range(5000):
        credit.earn(0.05)
        trained += 0.05
        if credit.seconds >= 0.0:
            cost = (0.03, 0.3, 1.7)[step % 3]
            credit.spend(cost)
            spent += cost
    assert spent == pytest.approx(0.06 * trained, rel=0.12)
    assert spent <= 0.06 * trained + 1.7


def test_what_is_not_spent_is_not_saved_up_for_ever():
    credit = TimeBudget(0.1, 0.5)
    credit.earn(1000.0)
    assert credit.seconds == 0.5
    credit.spend(2.0)
    credit.earn(1.0)
    assert credit.seconds == pytest.approx(-1.4)


def test_the_size_of_a_picture_follows_its_time():
    size = PictureSizer()
    width, height = size.best_within(0.03, (1200, 800))
    assert width * height <= 1.3 * MIN_PIXELS  # before anything is known
    for _ in range(8):
        size.record((width, height), 1e-5 * width * height)
        width, height = size.best_within(0.3, (1200, 800))
    assert width * height == pytest.approx(30_000, rel=0.1)
    assert width / height == pytest.approx(1.5, rel=0.05)
    for _ in range(20):
        size.record((width, height), 1e-9 * width * height)
    assert size.best_within(0.3, (1203, 801)) == (1203, 801)  # all that the window has, and not more
    large = size.best_within(0.3, (4000, 3000))
    assert large[0] * large[1] == pytest.approx(MAX_PIXELS, rel=0.02)


@pytest.mark.parametrize("window", [(1, 1), (3, 2000), (2000, 3)])
def test_odd_windows_get_a_picture(window):
    size = PictureSizer()
    size.record((8, 8), 10.0)
    width, height = size.best_within(0.01, window)
    assert 1 <= width <= window[0]
    assert height >= 1


def test_the_mesh_is_as_fine_as_there_is_time_for():
    size = MeshSizer()
    assert (size.best_within(0.4), size.predicted(192)) == (MESH_RESOLUTIONS[0], 0.0)
    size.record(32, 0.02)
    assert size.best_within(0.4) == 96
    size.record(96, 3.0)
    assert size.best_within(0.4) == 32
