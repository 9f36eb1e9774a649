"""Which mesh visitors see: at which level, how fine, in which colours; with a clock that only work moves."""

import numpy as np
import pytest
import torch
from timed_session import STEP, come

from systems.viewer.pictures import EMPTY_DEPTH
from systems.viewer.requests import CropBox, MeshSettings
from systems.viewer.surface import view_colors


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
    assert before.depth.max() < EMPTY_DEPTH
    assert after.depth.min() == EMPTY_DEPTH


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
