"""The benchmark of rendering and meshing, on a NeuS that has only been initialised: its surface is a sphere."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks import export as benchmark
from benchmarks.common import run_command

CPU = torch.device("cpu")


def test_the_camera_circles_the_origin_and_sees_the_region() -> None:
    for index in range(4):
        rays = benchmark.orbit_rays(index, 4, radius=1.5, size=9, device=CPU)
        assert rays.origins.norm(dim=1).tolist() == pytest.approx([4.0] * 81, rel=1e-5)
        assert rays.directions.norm(dim=1).tolist() == pytest.approx([1.0] * 81, rel=1e-5)
        middle = rays[40:41]
        torch.testing.assert_close(middle.directions, -middle.origins / 4.0, atol=1e-5, rtol=0.0)
        left, right = rays.directions[36], rays.directions[44]  # the middles of the outer pixels
        assert float(torch.acos(left @ right)) == pytest.approx(0.69, rel=0.15)
    first, second = (benchmark.orbit_rays(index, 4, 1.5, 9, CPU).origins[0] for index in (0, 1))
    assert float(first[:2] @ second[:2]) == pytest.approx(0.0, abs=1e-5)  # a quarter of the circle


def test_views_and_meshes_are_timed(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "export.json"
    argv = ["--resume", str(run_folder), "--resolutions", "40", "20", "--device", "cpu", "--quick", "--out", str(out)]
    assert run_command(benchmark.work, argv) == 0
    assert capsys.readouterr().out.split() == [str(out)]
    content = json.loads(out.read_text())
    assert (content["benchmark"], content["step"], content["config"]["name"]) == ("export", 3, "neus-demo")
    view = content["view"]
    assert view["size"] == [32, 32]
    assert view["ms"]["num"] == benchmark.QUICK_VIEWS
    assert 0.0 < view["hit"] < 1.0  # a sphere in front of nothing
    coarse, fine = content["meshes"]
    assert (coarse["resolution"], fine["resolution"]) == (20, 40)  # ascending: the peak of a process only grows
    assert 3.0 < fine["vertices"] / coarse["vertices"] < 5.5
    for mesh in (coarse, fine):
        assert mesh["seconds"] > 0.0
        assert mesh["files_mib"] > 0.0
        assert mesh["peak_memory_mib"] > 50.0
    assert sorted(path.name for path in (run_folder / "save").iterdir()) == []  # the run is left as it was


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "required: --resume"),
        (["--resume", "nowhere"], "no such file or folder"),
        (["--resume", "nowhere", "--resolutions", "1"], "from 2 on"),
        (["--resume", "README.md"], "README.md: is no checkpoint"),
    ],
)
def test_bad_arguments_are_one_line(argv: list[str], said: str, refused: Callable[..., str]) -> None:
    assert said in refused(benchmark.work, *argv)
