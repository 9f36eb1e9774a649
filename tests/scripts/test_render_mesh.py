"""The command line writes the picture that was asked for, or says what is wrong in one line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from analytic_shapes import sphere_mesh
from true_mesh_run import true_mesh_run

from scripts.render_mesh import main
from systems.export.obj_ply import write_obj
from systems.export.texturing import bake_texture
from utils.images import read_image
from utils.visualise import taken_apart

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ball(tmp_path):
    mesh = trimesh.creation.icosphere(subdivisions=3)
    mesh.visual.vertex_colors = np.tile([200, 30, 10, 255], (len(mesh.vertices), 1)).astype(np.uint8)
    mesh.export(tmp_path / "ball.ply")
    return tmp_path / "ball.ply"


def test_runs_as_a_file_from_anywhere(ball, tmp_path):
    command = [sys.executable, ROOT / "scripts" / "render_mesh.py", ball, "out.png", "--views", "3", "--size", "40"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()[1:]) == (0, [])  # after what is begun
    assert read_image(tmp_path / "out.png").shape == (40, 3 * 40 + 2 * 4, 3)


def test_a_ball_is_a_disc_in_its_own_colour(ball, tmp_path):
    assert main([str(ball), str(tmp_path / "a.png"), "--views", "1", "--size", "100", "--color", "vertex"]) == 0
    picture = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(picture[50, 50], [200, 30, 10])
    np.testing.assert_array_equal(picture[0, 0], [255, 255, 255])
    covered = (picture[..., 1] < 143).mean()
    assert covered == pytest.approx(np.pi / 4, rel=0.02)  # the bounding sphere touches the border


def test_a_texture_is_shown(tmp_path):
    red = bake_texture(sphere_mesh(2), 64, lambda points, normals: np.tile([1.0, 0.0, 0.0], (len(points), 1)))
    write_obj(red, tmp_path / "ball.obj")
    picture = tmp_path / "a.png"
    assert main([str(tmp_path / "ball.obj"), str(picture), "--views", "1", "--size", "50", "--color", "texture"]) == 0
    np.testing.assert_array_equal(read_image(picture)[25, 25], [255, 0, 0])


def test_a_mesh_covers_the_object_of_the_photograph_beside_it(tmp_path):
    run = true_mesh_run(tmp_path)
    picture = tmp_path / "a.png"
    assert main([str(run), str(picture), "--photo", "5", "--size", "256", "--color", "shaded", "normal"]) == 0
    photo, shaded, normal = taken_apart(read_image(picture), 3)
    covered, drawn = (photo.min(axis=-1) < 250), (shaded.min(axis=-1) < 250)
    assert 0.1 < covered.mean() < 0.9
    assert (covered & drawn).sum() / (covered | drawn).sum() > 0.97
    assert ((normal.min(axis=-1) < 250) == drawn).mean() > 0.99


def test_a_photograph_that_is_not_there_is_told(ball, tmp_path, capsys):
    assert main([str(ball), str(tmp_path / "a.png"), "--photo", "0"]) == 2
    assert "is not in a run's folder" in capsys.readouterr().err
    assert main([str(ball), str(tmp_path / "a.gif")]) == 2
    assert "expected the name of a picture" in capsys.readouterr().err


def test_input_errors_are_one_line_and_exit_code_two(ball, tmp_path, capsys):
    broken = tmp_path / "broken.ply"
    broken.write_text("not a mesh")
    trimesh.creation.box().export(tmp_path / "plain.ply")
    for argv, reason in [
        (["missing.obj", "a.png"], "no such file"),
        ([str(broken), "a.png"], "does not begin as a ply"),
        ([str(tmp_path / "plain.ply"), "a.png", "--color", "vertex"], "no vertex colours"),
        ([str(ball), "a.png", "--color", "texture"], "no texture"),
        ([str(ball), "a.png", "--views", "0"], "at least 1"),
    ]:
        assert main(argv) == 2
        *begun, error = capsys.readouterr().err.splitlines()
        assert reason in error
        assert len(begun) <= 1  # what is rendered
