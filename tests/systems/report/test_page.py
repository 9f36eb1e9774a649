"""The report of a run holds its results in one file, escapes what users write, loads nothing, and never fails a run."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from finished_run import SIZE, write_finished_run

from systems.configs import read_experiment
from systems.report.metric_labels import figure_text
from systems.report.page import leave_report, training_plots, write_report
from systems.report.pictures import FULL_SCALE, choose_views, error_image, picture_uri, read_held_out, video_uri
from systems.report.results import RunResults, read_curves, read_results
from utils.errors import DataError
from utils.video import write_video

EVIL = "<script>alert('x')</script><img src=http://example.org/x.png onerror=alert(1)>"


def report_of(run: Path) -> str:
    results = read_results(run)
    path = write_report(results, read_experiment([results.folder.parsed_config], []))
    assert path == run / "save" / "report.html"
    return path.read_text(encoding="utf-8")


def outside(page: str) -> list[str]:
    """What a page would load, or run, from elsewhere."""
    found = [uri for uri in re.findall(r"(?:src|href)\s*=\s*[\"']?([^\"'\s>]*)", page) if not uri.startswith("data:")]
    found = [uri for uri in found if not re.search(rf'<a href="{re.escape(uri)}" download>', page) or ":" in uri]
    found += re.findall(r"url\(|@import|<link|<iframe|\bfetch\(|XMLHttpRequest|WebSocket|\bimport\(|https?://", page)
    return found


def test_a_report_holds_the_results(tmp_path):
    page = report_of(write_finished_run(tmp_path / "cow" / "a@1", "trainer.max_steps=1234", warnings=["too dark"]))
    for text in ("cow/a@1", "20.5", "0.9", "12.5", "320", "too dark", "trainer.max_steps", "1234", "20000", "100"):
        assert text in page, text
    assert page.count("data:image/webp;base64,") == 3 * 5  # truth, rgb, error, normal, depth
    assert page.count("data:video/mp4;base64,") == 1
    assert page.count("<polyline") == 3  # loss, PSNR in training and in validation
    packed = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    assert (packed["faces"], packed["faces_of_file"]) == (320, 320)
    assert len(page) < 200_000


def test_the_best_comes_first_and_every_file_can_be_had(tmp_path):
    run = write_finished_run(tmp_path / "cow" / "a@1")
    (run / "save" / "it9-a b&c.glb").write_bytes(b"x" * 3000)
    page = report_of(run)
    names = "it9-a%20b%26c.glb", "it9-mc8.ply", "it9-test.mp4", "metrics.json"
    places = [page.index(f'<a href="{name}" download>') for name in names]
    assert places == sorted(places)
    assert page.count(" download>") == len(names)
    assert "3 KiB" in page
    order = (
        "<canvas",
        "<video",
        'class="verdict fair"',
        "held-out views differ",
        "PSNR is in decibels",
        "Held-out views",
    )
    assert [page.index(text) for text in order] == sorted(page.index(text) for text in order)


def test_the_mesh_stands_as_the_data_does(tmp_path):
    packed = [
        json.loads(re.search(r'<script type="application/json">(.*?)</script>', report_of(run), re.DOTALL)[1])
        for run in (
            write_finished_run(tmp_path / "cow" / "a@1", up=[0.0, -1.0, 0.0]),
            write_finished_run(tmp_path / "cow" / "b@2"),
        )
    ]
    assert [mesh["up"] for mesh in packed] == [[0.0, -1.0, 0.0], None]


@pytest.mark.parametrize(
    ("metres", "unit", "text"),
    [
        (0.25, "metres", "81.2 × 40 × 125 mm"),
        (4.0, "metres", "1.3 × 0.64 × 2 m"),
        (4.0, "scene units", "1.3 × 0.64 × 2 scene units"),
    ],
)
def test_the_size_of_the_object_is_one_figure(tmp_path, metres, unit, text):
    size = {"width": 0.325 * metres, "depth": 0.16 * metres, "height": 0.5 * metres, "unit": unit}
    mesh = {"files": ["it9-mc8.ply"], "faces": 320, "size": size}
    page = report_of(write_finished_run(tmp_path / "cow" / "a@1", mesh=mesh))
    assert f"<b>{text}</b><small>width × depth × height</small>" in page
    assert "mesh: size" not in page


def test_every_second_is_told_among_times(tmp_path):
    page = report_of(write_finished_run(tmp_path / "cow" / "a@1", start_seconds={"imports": 6.25}))
    assert page.index("Time and memory") < page.index("start seconds: imports") < page.index("Environment")


def test_a_single_point_of_a_curve_is_marked(tmp_path):
    page = report_of(write_finished_run(tmp_path / "cow" / "a@1"))
    assert page.count("<circle") == 1  # the PSNR in validation


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (66612, "66\u202f612"),
        (32.831, "32.8"),
        (0.96537, "0.965"),
        (1234.56, "1\u202f230"),
        (2.0, "2"),
        (True, "yes"),
        (False, "no"),
        (0.00318, "0.00318"),
        (float("nan"), "nan"),
        ("cpu", "cpu"),
        (None, "null"),
        (-1500, "-1\u202f500"),
    ],
)
def test_figures_have_three_digits_and_separators(value, text):
    assert figure_text(value) == text


def test_what_users_write_is_escaped_and_nothing_is_loaded(tmp_path):
    run = write_finished_run(
        tmp_path / "cow" / "<b>@1", f"dataset.scene={json.dumps(EVIL)}", warnings=[EVIL], environment={"device": EVIL}
    )
    page = report_of(run)
    assert "&lt;script&gt;alert" in page
    assert "<script>alert" not in page
    assert "<b>@1" not in page
    assert "<img src=http" not in page
    assert outside(report_of(write_finished_run(tmp_path / "cow" / "a@2"))) == []
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; img-src data:; media-src data:; style-src 'sha256-")
    assert "unsafe" not in policy


def test_what_is_missing_is_left_out(tmp_path):
    bare = {"video": "none.mp4", "held_out": {"panel": [], "views": []}, "mesh": {"error": "no zero crossing"}}
    run = write_finished_run(tmp_path / "cow" / "a@1", **bare)
    (run / "csv_logs" / "version_0" / "metrics.csv").unlink()
    page = report_of(run)
    assert "no zero crossing" in page
    for text in ("<canvas", "<video", "<polyline", "data:image", "Held-out"):
        assert text not in page, text


def test_a_failing_report_is_one_log_line(tmp_path, caplog):
    run = write_finished_run(tmp_path / "cow" / "a@1")
    experiment = read_experiment([run / "config" / "parsed.yaml"], [])
    with caplog.at_level(logging.DEBUG, "systems.report.page"):
        assert leave_report(run, experiment) == {"page": "report.html"}
        (run / "save" / "it9-mc8.ply").write_text("no mesh")
        (run / "save" / "report.html").unlink()
        assert leave_report(run, experiment) == {}
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("report.html: 0.")
    assert second.startswith("cannot write save/report.html: DataError: ")
    assert not (run / "save" / "report.html").exists()


def test_views_are_spread_and_the_worst_is_among_them():
    def chosen(psnrs, most):
        return choose_views(RunResults(None, "", {"held_out": {"views": [{"psnr": x} for x in psnrs]}}, {}, {}), most)

    assert chosen([], 6) == []
    assert chosen([20.0], 6) == [0]
    assert chosen([20.0, 19.0, 21.0], 6) == [0, 1, 2]
    assert chosen([20.0] * 50 + [10.0] + [20.0] * 50, 5) == [0, 25, 50, 75, 100]
    many = chosen([20.0] * 7 + [10.0] + [20.0] * 93, 5)
    assert many == [0, 7, 25, 50, 75]
    assert chosen([20.0, 19.0], 1) == [1]


def test_a_panel_is_taken_apart(tmp_path):
    results = read_results(write_finished_run(tmp_path / "a@1"))
    view = read_held_out(results, 2)
    assert list(view.pictures) == ["truth", "rgb", "error", "normal", "depth"]
    assert {picture.shape for picture in view.pictures.values()} == {(SIZE, SIZE, 3)}
    difference = view.pictures["rgb"].astype(int) - view.pictures["truth"]
    assert np.abs(difference - 25.5).max() <= 1.0
    assert (view.pictures["normal"] == 128).all()
    assert (view.pictures["depth"] == 204).all()
    assert view.figures == {"psnr": 22.0, "ssim": 0.9}
    assert read_held_out(results, 3) is None


def test_errors_grow_brighter_up_to_full_scale():
    truth = np.zeros((1, 4, 3), np.uint8)
    rendered = np.rint(255.0 * FULL_SCALE * np.array([0.0, 0.5, 1.0, 3.0])).astype(np.uint8)[None, :, None] + truth
    shown = error_image(truth, rendered)[0].astype(int).sum(axis=1)
    assert shown[0] < 5
    assert shown[0] < shown[1] < shown[2]
    assert abs(shown[3] - shown[2]) < 10


def test_large_pictures_and_videos_shrink(tmp_path, monkeypatch):
    monkeypatch.setattr("systems.report.pictures._MAX_VIDEO_BYTES", 2**19)  # 5 MiB of noise take seconds to encode
    noise = np.random.default_rng(0).integers(0, 256, (3, 240, 1600, 3), np.uint8)
    assert len(picture_uri(noise[0], 100)) < 10_000
    write_video(tmp_path / "noise.mp4", noise, 10)
    assert (tmp_path / "noise.mp4").stat().st_size > 2**19
    assert 10_000 < len(video_uri(tmp_path / "noise.mp4")) < 4 / 3 * 1.1 * 2**19


def test_curves_of_resumed_runs_are_joined(tmp_path):
    for version, text in enumerate(
        ("step,train/loss\n4,3\n9,2\n", "step,train/loss,val/psnr\n9,1,\n14,0.5,20\n,7,\n19,inf,\n")
    ):
        (tmp_path / f"version_{version}").mkdir()
        (tmp_path / f"version_{version}" / "metrics.csv").write_text(text, encoding="utf-8")
    curves = read_curves(tmp_path)
    assert curves["train/loss"].steps.tolist() == [4, 9, 14]
    assert curves["train/loss"].values.tolist() == [3, 1, 0.5]
    assert curves["val/psnr"].steps.tolist() == [14]
    assert read_curves(tmp_path / "none") == {}


def test_plots_of_one_run_show_the_parts_of_its_loss(tmp_path):
    results = read_results(write_finished_run(tmp_path / "a@1"))
    results.curves["train/loss/mask"] = results.curves["train/loss"]
    alone, together = (training_plots(dict.fromkeys(names, results)) for names in (("",), ("a", "b")))
    assert [line.name for line in alone[0].lines] == ["train/loss", "train/loss/mask"]
    assert [line.name for line in together[0].lines] == ["a train/loss", "b train/loss"]


@pytest.mark.parametrize(("content", "expected"), [("{", "expected JSON"), ("[1]", "expected a block of figures")])
def test_damaged_metrics_are_named(tmp_path, content, expected):
    run = write_finished_run(tmp_path / "a@1")
    (run / "save" / "metrics.json").write_text(content)
    with pytest.raises(DataError, match=expected):
        read_results(run)
