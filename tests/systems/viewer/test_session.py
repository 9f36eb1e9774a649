"""Who is served when, and what it costs the training; with a clock that only work moves."""

import numpy as np
import pytest
import torch
from viewed_scene import FRONT, NotedPage, make_viewed_model

from systems.viewer import meshes
from systems.viewer import session as sessions
from systems.viewer.pictures import RenderedPicture
from systems.viewer.requests import CameraState, CropBox, Mailbox, MeshSettings
from systems.viewer.session import Session
from systems.viewer.surface import coarse_mesh, view_colors
from utils.errors import DataError

STEP = 0.05  # seconds of training
PIXEL = 3e-5  # seconds of a visitor's picture
MESH = 0.02  # seconds of the coarsest mesh


class Clock:
    """Seconds that tests let pass."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    return make_viewed_model(tmp_path_factory.mktemp("viewed"))


class Viewed:
    """A session whose pictures take time on a clock of its own and show nothing."""

    def __init__(self, subject, monkeypatch) -> None:
        self.clock, self.page = Clock(), NotedPage()
        self.steps, self.sizes, self.resolutions = 0, [], []
        subject = type(subject)(**{**vars(subject), "step": lambda: self.steps})
        self.mailbox = Mailbox(now=self.clock, mesh=MeshSettings())
        self.session = Session(subject, self.mailbox, self.page, {"save": lambda: "saved"}, now=self.clock)
        monkeypatch.setattr(sessions, "render_picture", self._render)
        monkeypatch.setattr(meshes, "coarse_mesh", self._extract)

    def _render(self, model, background, scene, camera, picture, size, box, keep_going, shown) -> RenderedPicture:
        self.clock.seconds += PIXEL * size[0] * size[1]
        self.sizes.append(size)
        return RenderedPicture(np.zeros((size[1], size[0], 3), np.uint8), np.zeros(size[::-1], np.float32))

    def _extract(self, model, experiment, level, resolution):
        self.clock.seconds += MESH * (resolution / 32) ** 2.5
        self.resolutions.append(resolution)
        return coarse_mesh(model, experiment, level, 32)

    def train(self, num: int, each=lambda step: None) -> float:
        """Seconds that visitors took of so many steps."""
        begun = self.clock.seconds
        for step in range(num):
            self.clock.seconds += STEP
            self.steps += 1
            each(step)
            self.session.serve_between_steps()
        return self.clock.seconds - begun - num * STEP


@pytest.fixture
def viewed(subject, monkeypatch):
    return Viewed(subject, monkeypatch)


def come(viewed, visitor: int, size=(1200, 900)) -> None:
    viewed.mailbox.add_visitor(visitor)
    viewed.mailbox.set_view(visitor, camera=CameraState(FRONT.c2w, FRONT.fov, size))


def test_without_visitors_nothing_is_done(viewed):
    assert viewed.train(100) == pytest.approx(0.0, abs=1e-9)
    assert viewed.page.status == viewed.page.pictures == []


def test_visitors_take_less_than_a_tenth_of_the_time(viewed):
    come(viewed, 1)
    come(viewed, 2)
    taken = viewed.train(4000, lambda step: viewed.mailbox.set_view(1, camera=FRONT) if step % 3 == 0 else None)
    assert 0.03 < taken / (4000 * STEP) < 0.08
    assert len({visitor for visitor, _ in viewed.page.pictures}) == 2


def test_waiting_for_steps_under_way_is_time_of_the_training(viewed, monkeypatch):
    def wait() -> None:  # as a GPU is waited for, that is ten steps behind
        viewed.clock.seconds += 10 * STEP
        viewed.session._waited += 10 * STEP

    monkeypatch.setattr(viewed.session, "_wait_for_device", wait)
    come(viewed, 1)
    viewed.train(300, lambda step: viewed.mailbox.set_view(1))
    assert len(viewed.sizes) > 50  # not one in each ten steps' twentieth


def test_a_camera_that_moves_gets_quick_pictures_and_one_at_rest_fine_ones(viewed):
    come(viewed, 1)
    viewed.train(60, lambda step: viewed.mailbox.set_view(1))
    moving = max(width * height for width, height in viewed.sizes[1:])
    viewed.train(400)
    still = max(width * height for width, height in viewed.sizes)
    assert moving * PIXEL < 0.06
    assert 0.2 < still * PIXEL < 0.5


@pytest.mark.parametrize(
    ("launch", "pixel", "seconds"),
    [(0.02, 5e-7, 3.0), (0.004, 3e-5, 60.0)],  # a GPU, which is slow for few pixels; two cores of a CPU
)
def test_a_camera_at_rest_gets_pictures_as_large_as_its_window(viewed, monkeypatch, launch, pixel, seconds):
    def render(*args: object, **options: object) -> RenderedPicture:
        size = args[5]
        viewed.clock.seconds += launch + pixel * size[0] * size[1]
        viewed.sizes.append(size)
        ends.append(viewed.clock.seconds)
        return RenderedPicture(np.zeros((size[1], size[0], 3), np.uint8), np.zeros(size[::-1], np.float32))

    ends = []
    monkeypatch.setattr(sessions, "render_picture", render)

    def wait(seconds: float) -> None:
        viewed.clock.seconds += seconds

    viewed.mailbox.wait = wait
    come(viewed, 1, (1280, 900))
    while viewed.clock.seconds < 2.0 * seconds:
        viewed.session.serve_idle()
    assert viewed.sizes[-1] == (1280, 900)
    assert ends[-1] < seconds
    assert ends[0] < 0.1  # the first one comes at once
    areas = [width * height for width, height in viewed.sizes]
    assert areas == sorted(areas)
    assert len(areas) < 8


def test_a_still_picture_of_an_unchanged_model_is_left_alone(viewed):
    come(viewed, 1, (64, 48))
    for _ in range(100):
        viewed.clock.seconds += 0.05
        viewed.mailbox.wait = lambda seconds: None
        viewed.session.serve_idle()
    assert 1 <= len(viewed.page.pictures) <= 3


def test_whoever_moves_does_not_wait_for_a_fine_picture(viewed, monkeypatch):
    viewed.mailbox.wait = lambda seconds: None
    come(viewed, 1)
    viewed.session.serve_idle()
    viewed.clock.seconds += 1.0
    whole = viewed._render

    def interrupted(*args, **kwargs):
        assert args[-1]()
        viewed.mailbox.set_view(1)
        return whole(*args, **kwargs) if args[-1]() else None

    monkeypatch.setattr(sessions, "render_picture", interrupted)
    viewed.session.serve_idle()  # begins a fine picture, and gives it up
    assert len(viewed.page.pictures) == 1
    monkeypatch.setattr(sessions, "render_picture", whole)
    viewed.session.serve_idle()
    assert len(viewed.page.pictures) == 2
    assert viewed.sizes[-1][0] * viewed.sizes[-1][1] * PIXEL < 0.1  # a quick one


def test_visitors_take_turns(viewed):
    come(viewed, 1)
    come(viewed, 2)
    viewed.train(600)
    numbers = [visitor for visitor, _ in viewed.page.pictures]
    assert abs(numbers.count(1) - numbers.count(2)) <= 1


def test_who_wants_no_picture_gets_it_taken_away_once(viewed):
    come(viewed, 1)
    viewed.mailbox.set_view(1, show="mesh")
    viewed.train(200)
    assert viewed.page.pictures == [(1, None)]


def test_buttons_do_what_they_say(viewed, tmp_path):
    come(viewed, 1)
    for command in ("pause", "save"):
        viewed.mailbox.add_command(command)
    viewed.train(1)
    assert viewed.session.paused
    assert viewed.page.said == ["save: under way", "saved"]
    viewed.mailbox.add_command("resume")
    viewed.session.serve_idle()
    assert viewed.page.paused == [True, False]


def test_what_goes_wrong_with_a_button_is_said(viewed):
    come(viewed, 1)

    def full() -> str:
        raise OSError(28, "No space left on device")

    def missing() -> str:
        raise DataError("images: no such folder")

    viewed.session.actions["save"] = full
    viewed.mailbox.add_command("save")
    viewed.train(1)
    viewed.session.actions["save"] = missing
    viewed.mailbox.add_command("save")
    viewed.train(1)
    assert "No space left on device" in viewed.page.said[1]
    assert viewed.page.said[3] == "save: images: no such folder"


def test_the_mesh_follows_level_box_and_step(viewed):
    come(viewed, 1)
    viewed.mailbox.set_view(1, show="both")
    viewed.train(40)
    ball = viewed.page.meshes[-1]
    first = size_of(ball.vertices)
    viewed.mailbox.set_shared(mesh=MeshSettings(level=0.5))
    viewed.train(40)
    assert size_of(viewed.page.meshes[-1].vertices) == pytest.approx(first + 0.06, abs=0.02)  # a tenth of radius 1.1
    viewed.mailbox.set_shared(box=CropBox((0.0, -1.1, -1.1), (1.1, 1.1, 1.1)))
    viewed.train(40)
    assert viewed.page.meshes[-1].vertices[:, 0].min() >= 0.0
    viewed.mailbox.set_shared(box=CropBox((1.0, 1.0, 1.0), (1.1, 1.1, 1.1)))
    viewed.train(40)
    assert viewed.page.meshes[-1] is None
    shown = len(viewed.page.meshes)
    viewed.mailbox.set_view(1, show="picture")
    viewed.train(50)
    assert viewed.page.meshes[shown:] == [None]


def test_the_mesh_knows_which_photographs_see_it(viewed):
    come(viewed, 1)
    viewed.mailbox.set_shared(mesh=MeshSettings(coloring="photographs"))
    viewed.mailbox.set_view(1, show="mesh")
    viewed.train(40)
    mesh = viewed.page.meshes[-1]
    assert mesh.views.shape == (len(mesh.vertices),)
    assert mesh.views.max() > 1
    colors = view_colors(np.array([0, 1, 20, 300]))
    assert colors[0].argmax() == 0
    assert colors[3].argmax() == 2
    np.testing.assert_array_equal(colors[2], colors[3])


def test_the_mesh_becomes_as_fine_as_there_is_time_for(viewed):
    come(viewed, 1)
    viewed.mailbox.set_view(1, show="both")
    taken = viewed.train(2000)
    assert taken / (2000 * STEP) < 0.09
    assert viewed.resolutions[0] == 32
    assert set(viewed.resolutions[2:]) == {96}  # 0.3 of 0.4 seconds
    viewed.mailbox.wait = lambda seconds: None
    for _ in range(20):
        viewed.session.serve_idle()
    assert viewed.resolutions[-1] == 128  # of a model that stands still, once
    assert viewed.resolutions.count(128) == 1


def test_a_mesh_is_drawn_before_the_picture_of_the_same_surface(viewed):
    come(viewed, 1)
    viewed.train(1)
    viewed.mailbox.set_view(1, show="both")
    viewed.train(30)
    (_, before), *_, (_, after) = viewed.page.pictures
    assert after.depth.min() - before.depth.max() == pytest.approx(0.05 * 1.1)


def test_each_visitor_chooses_picture_or_mesh(viewed):
    come(viewed, 1)
    come(viewed, 2)
    given = []
    viewed.page.show_mesh = lambda visitor, mesh: given.append((visitor, mesh is not None))
    viewed.mailbox.set_view(2, show="mesh")
    viewed.train(40)
    assert {visitor for visitor, _ in given} == {2}
    assert given[-1] == (2, True)
    assert [picture for visitor, picture in viewed.page.pictures if visitor == 2][-1] is None
    assert [picture for visitor, picture in viewed.page.pictures if visitor == 1][-1] is not None
    viewed.mailbox.set_view(2, show="picture")
    viewed.train(1)
    assert given[-1] == (2, False)


def test_a_mesh_has_the_colours_of_the_model(viewed):
    come(viewed, 1)
    viewed.mailbox.set_view(1, show="mesh")
    viewed.train(40)
    assert viewed.page.meshes[-1].colors.shape == viewed.page.meshes[-1].vertices.shape
    viewed.mailbox.set_shared(MeshSettings(coloring="grey"))
    viewed.train(40)
    assert viewed.page.meshes[-1].colors is None


def test_a_field_without_a_surface_shows_none(viewed):
    come(viewed, 1)
    with torch.no_grad():
        geometry = viewed.session.viewed.model.geometry
        old, geometry.sdf = geometry.sdf, lambda points: torch.ones_like(points[:, 0])
        viewed.mailbox.set_view(1, show="both")
        viewed.train(2)
        geometry.sdf = old
    assert viewed.page.meshes
    assert viewed.page.meshes == [None] * len(viewed.page.meshes)


def test_the_mesh_that_is_exported_is_the_one_that_is_seen(viewed):
    come(viewed, 1)
    viewed.mailbox.set_view(1, show="mesh")
    viewed.mailbox.set_shared(MeshSettings(level=0.5), CropBox((0.0, -1.1, -1.1), (1.1, 1.1, 1.1)))
    viewed.mailbox.add_command("export")
    viewed.train(2)
    folder = viewed.session.viewed.save_dir
    assert sorted(path.name for path in folder.iterdir()) == ["view-it1-mc64.obj", "view-it1-mc64.ply"]
    assert "view-it1-mc64.ply" in viewed.page.said[-1]
    lines = (folder / "view-it1-mc64.obj").read_text(encoding="utf-8").splitlines()
    vertices = np.array([line.split()[1:4] for line in lines if line.startswith("v ")], float)
    assert vertices[:, 0].min() >= -0.01
    assert size_of(vertices) == pytest.approx(size_of(viewed.page.meshes[-1].vertices), abs=0.02)


def size_of(vertices: np.ndarray) -> float:
    """The mean distance from the origin."""
    return float(np.linalg.norm(vertices, axis=1).mean())
