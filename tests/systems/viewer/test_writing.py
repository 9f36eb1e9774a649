"""What visitors write into the folder of a run: nothing is replaced, and nothing is left half done."""

from dataclasses import replace

import imageio_ffmpeg
import numpy as np
import pytest
from viewed_scene import FRONT, NotedPage, make_viewed_model

from systems.export.glb import write_glb
from systems.export.obj_ply import write_ply
from systems.viewer.meshes import MeshMaker
from systems.viewer.requests import CameraState, Mailbox, MeshSettings, VideoRequest
from systems.viewer.session import Session
from systems.viewer.surface import exported_mesh
from systems.viewer.writing import export
from utils.errors import OutputError
from utils.mesh import Mesh, Texture
from utils.mesh.stand import Stand

VIDEO = VideoRequest(tuple(CameraState(FRONT.c2w, FRONT.fov, (32, 18)) for _ in range(3)), (32, 18), 30, "normal")


@pytest.fixture
def subject(tmp_path):
    return make_viewed_model(tmp_path)


@pytest.fixture
def session(subject):
    return Session(subject, Mailbox(), NotedPage(), {})


def names(subject) -> list[str]:
    return sorted(path.name for path in subject.save_dir.iterdir()) if subject.save_dir.exists() else []


def test_a_video_of_the_path_is_written_beside_the_last_one(session, subject):
    for _ in range(2):
        session.mailbox.ask_for_video(VIDEO)
        session.serve_idle()
    assert names(subject) == ["view-it0-path-2.mp4", "view-it0-path.mp4"]
    for name in names(subject):
        assert imageio_ffmpeg.count_frames_and_secs(str(subject.save_dir / name)) == (3, 0.1)
    assert "3 frames of 32 × 18" in session.page.said[-1]
    assert session.page.videos[0] == 0.0
    assert session.page.videos[-1] is None


def test_while_the_model_is_trained_a_video_waits_for_a_pause(session, subject):
    session.mailbox.add_visitor(1)
    session.mailbox.ask_for_video(VIDEO)
    session.serve_between_steps()
    assert names(subject) == []
    assert "pause the training first" in session.page.said[-1]
    session.mailbox.add_command("pause")
    session.mailbox.ask_for_video(VIDEO)
    session.serve_between_steps()
    session.serve_idle()
    assert names(subject) == ["view-it0-path.mp4"]


@pytest.mark.parametrize("why", ["cancel", "end"])
def test_a_video_that_is_given_up_leaves_no_file(session, subject, why):
    told = session.page.show_video

    def then_give_up(share: float | None) -> None:
        told(share)
        session.is_told_to_end = lambda: why == "end"
        if why == "cancel":
            session.mailbox.add_command("cancel")

    session.page.show_video = then_give_up
    session.mailbox.ask_for_video(VIDEO)
    session.serve_idle()
    assert names(subject) == []
    assert "no file was written" in session.page.said[-1]


def test_a_mesh_is_written_in_the_formats_that_are_ticked_and_replaces_none(subject):
    mailbox = Mailbox()
    mailbox.choose_formats(("stl", "glb"))
    said = [export(subject, mailbox) for _ in range(2)]
    assert names(subject) == [
        "view-it0-2-mc64.glb",
        "view-it0-2-mc64.stl",
        "view-it0-mc64.glb",
        "view-it0-mc64.stl",
    ]
    assert "view-it0-mc64.stl" in said[0]
    assert "view-it0-2-mc64.glb" in said[1]
    mailbox.choose_formats(())
    with pytest.raises(OutputError, match="tick at least one"):
        export(subject, mailbox)


def test_ply_alone_needs_no_texture(subject):
    config = replace(subject.experiment.export, formats=("glb",), texture="field")
    mailbox = Mailbox()
    mailbox.choose_formats(("ply",))
    export(replace(subject, experiment=replace(subject.experiment, export=config)), mailbox)
    assert names(subject) == ["view-it0-mc64.ply"]


def triangle(**looks: object) -> Mesh:
    """In the world."""
    vertices = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 2.0, 4.0]])
    return Mesh(vertices, np.array([[0, 1, 2]]), stand=Stand(np.array([0.0, 1.0, 0.0]), 0.5), **looks)


def test_the_mesh_of_the_run_is_shown_where_it_lies_with_its_texture(tmp_path):
    half = np.diag([0.5, 0.5, 0.5, 1.0])
    assert exported_mesh(tmp_path, 7, half) is None
    write_ply(triangle(colors=np.full((3, 3), 200, np.uint8)), tmp_path / "it7-mc64.ply")
    seen = exported_mesh(tmp_path, 7, half)
    np.testing.assert_allclose(seen.vertices, 0.5 * triangle().vertices)
    assert (seen.colors == 200).all()
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    texture = Texture(np.full((16, 16, 3), 90, np.uint8), corners, np.array([[0, 1, 2]]))
    write_glb(triangle(texture=texture), tmp_path / "it7-mc64.glb")
    write_glb(triangle(), tmp_path / "it7-mc64-lod5000.glb")
    seen = exported_mesh(tmp_path, 7, half)
    np.testing.assert_allclose(seen.vertices[seen.faces], 0.5 * triangle().vertices[triangle().faces], atol=1e-6)
    assert (seen.texture.image == 90).all()
    assert exported_mesh(tmp_path, 8, half) is None


def test_the_mesh_of_the_run_is_what_visitors_see_at_its_own_level(subject):
    own = triangle(colors=np.full((3, 3), 200, np.uint8))
    mailbox = Mailbox()
    maker = MeshMaker(replace(subject, exported=lambda: own), mailbox, lambda: None, iter(range(10**6)).__next__)
    mailbox.add_visitor(1)
    mailbox.set_view(1, show="mesh")
    assert maker.update(0.2, 1.5)
    assert maker.mesh is own
    assert not maker.update(0.2, 1.5)  # nothing finer comes
    mailbox.set_shared(MeshSettings(coloring="grey"))
    maker.update(0.2, 1.5)
    assert maker.mesh.colors is None
    assert len(maker.mesh.faces) == 1
    mailbox.set_shared(MeshSettings(level=0.3))
    maker.update(0.2, 1.5)
    assert len(maker.mesh.faces) > 100  # extracted, in the colours of the model
    assert maker.mesh.colors.shape == (len(maker.mesh.vertices), 3)
