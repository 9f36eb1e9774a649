"""Each series is prepared by itself, then all are joined; what is unchanged is skipped."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from datasets.capture import series_pipeline
from datasets.capture.frames.frame_list import Frame, write_frame_list
from datasets.capture.options import SERIES_STAGES, CaptureOptions
from datasets.capture.poses.likely_split import UntruePosesError
from datasets.capture.series.recognition import Recognition, read_recognition
from datasets.capture.series.signs import MovedObjectError
from datasets.capture.series_pipeline import prepare_capture
from datasets.capture.stage_runner import Stage
from utils.errors import CaptureError, ConfigError

ran: list[str] = []


def run(name: str, working: Path) -> dict[str, str]:
    ran.append(name)
    (working / f"{name}.txt").write_text(name)
    return {}


@pytest.fixture(autouse=True)
def _quick_stages(monkeypatch):
    def make_stages(options: CaptureOptions) -> list[Stage]:
        label = options.root.name
        return [
            Stage(name, (f"{name}-{label}.txt",), partial(run, f"{name}-{label}"), {"scale": options.scale})
            for name in (*SERIES_STAGES, "dataset")
        ]

    def join_series(series, working):
        return run("+".join(one.label for one in series), working)

    monkeypatch.setattr(series_pipeline, "make_stages", make_stages)
    monkeypatch.setattr(series_pipeline, "join_series", join_series)
    monkeypatch.setattr(series_pipeline, "OUTPUTS", ("a+b.txt",))
    monkeypatch.setattr(series_pipeline, "layout_stage", lambda _: Stage("dataset", (), partial(run, "layouts"), {}))
    ran.clear()


@pytest.fixture
def sources(tmp_path):
    folders = [tmp_path / "standing", tmp_path / "lying"]
    for folder in folders:
        folder.mkdir()
    return folders


def test_series_first_then_all(tmp_path, sources):
    options = CaptureOptions(source=sources[0], root=tmp_path / "out", scale=2.0)
    prepare_capture(options, sources)
    stages = [f"{stage}-{label}" for label in "ab" for stage in SERIES_STAGES]
    assert ran == [*stages, "a+b", "layouts"]
    ran.clear()
    prepare_capture(options, sources)
    assert ran == []
    prepare_capture(options, sources, only="masks")
    assert ran == ["masks-a", "masks-b"]
    ran.clear()
    prepare_capture(options, sources)  # a series ran again, so they are joined again
    assert ran == ["a+b", "layouts"]
    ran.clear()
    prepare_capture(options, sources, start="join")
    assert ran == ["a+b", "layouts"]
    ran.clear()
    prepare_capture(options, sources, start="masks")
    assert ran == ["masks-a", "masks-b", "a+b", "layouts"]


def test_what_several_series_cannot_have(tmp_path, sources):
    given = {"source": sources[0], "root": tmp_path / "out"}
    for options, message in (
        (CaptureOptions(**given, keep_scene=True), "--keep-scene: several series"),
        (CaptureOptions(**given, roi="0,0,0,1"), r"--roi: .* in .*series.a"),
    ):
        with pytest.raises(ConfigError, match=message):
            prepare_capture(options, sources)
    with pytest.raises(ConfigError, match="twice"):
        prepare_capture(CaptureOptions(**given), [sources[0], sources[0]])
    with pytest.raises(CaptureError, match="gone: no such file or folder"):
        prepare_capture(CaptureOptions(**given), [sources[0], tmp_path / "gone"])
    assert ran == []


def test_each_series_takes_its_own_masks(tmp_path, sources, monkeypatch):
    seen: list[CaptureOptions] = []
    stages = series_pipeline.make_stages
    monkeypatch.setattr(series_pipeline, "make_stages", lambda options: seen.append(options) or stages(options))
    (tmp_path / "masks" / "lying").mkdir(parents=True)
    options = CaptureOptions(source=sources[0], root=tmp_path / "out", masks=str(tmp_path / "masks"), neus=True)
    prepare_capture(options, sources)
    assert [Path(one.masks).name for one in seen] == ["masks", "lying"]
    assert [(one.source.name, one.root.name, one.neus) for one in seen] == [
        ("standing", "a", False),
        ("lying", "b", False),
    ]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in (f"{prefix}_{number:02d}.jpg" for prefix in "xy" for number in range(8)):
        (folder / name).touch()
    return folder


@pytest.fixture
def whole(monkeypatch):
    """What is prepared as one series; raises the errors in the list first."""
    errors: list[Exception] = []

    def prepare(options, only=None, start=None, after=None):
        if errors:
            raise errors.pop()
        ran.append("whole")

    monkeypatch.setattr(series_pipeline, "prepare", prepare)
    return errors


def recognised_as(monkeypatch, moved: bool | None) -> None:
    def recognise(prepared, parts):
        ran.append("compared")
        return Recognition(parts if moved else (sum(parts, ()),), "as the test says", moved is not None)

    monkeypatch.setattr(series_pipeline, "recognise_series", recognise)


STAGES_OF_BOTH = {f"{stage}-{label}" for label in "ab" for stage in SERIES_STAGES}


def test_prefixes_are_compared_and_remembered(tmp_path, photos, whole, monkeypatch, caplog):
    recognised_as(monkeypatch, moved=True)
    options = CaptureOptions(source=photos, root=tmp_path / "out")
    with caplog.at_level("INFO"):
        prepare_capture(options, [photos])
    assert {*ran} == {*STAGES_OF_BOTH, "compared", "a+b", "layouts"}
    assert len(ran) == len({*ran})  # what was prepared to compare it is not prepared again
    assert "2 series: x_00.jpg to x_07.jpg and y_00.jpg to y_07.jpg: as the test says; --series one" in caplog.text
    ran.clear()
    prepare_capture(options, [photos])
    assert ran == []
    prepare_capture(replace(options, series="one"), [photos])
    assert ran == ["whole"]


def test_prefixes_of_one_scene_are_one_series(tmp_path, photos, whole, monkeypatch):
    recognised_as(monkeypatch, moved=False)
    options = CaptureOptions(source=photos, root=tmp_path / "out")
    prepare_capture(options, [photos])
    assert ran[-2:] == ["compared", "whole"]
    assert not (tmp_path / "out" / "series").exists()
    ran.clear()
    prepare_capture(options, [photos])
    assert ran == ["whole"]


def test_what_nothing_tells_is_compared_again_and_told_with_an_error(tmp_path, photos, whole, monkeypatch):
    recognised_as(monkeypatch, moved=None)
    options = CaptureOptions(source=photos, root=tmp_path / "out")
    for _ in range(2):
        whole.append(UntruePosesError("the poses cannot be true.", None))
        with pytest.raises(CaptureError, match=r"cannot be true\. As several series: as the test says"):
            prepare_capture(options, [photos])
    assert ran.count("compared") == 2
    assert ran.count("masks-a") == 1
    prepare_capture(options, [photos])
    assert ran[-1] == "whole"


def test_series_are_given_or_ruled_out(tmp_path, photos, sources, whole):
    options = CaptureOptions(source=photos, root=tmp_path / "out")
    prepare_capture(replace(options, series="x_05"), [photos])
    assert {*ran} == {*STAGES_OF_BOTH, "a+b", "layouts"}
    record = json.loads((tmp_path / "out/series/b/prepare/frames.json").read_text(encoding="utf-8"))
    assert record["stage"] == "frames"
    ran.clear()
    for number, one in enumerate(({"keep_scene": True}, {"roi": "0,0,0,1"}, {"setup": "turntable"})):
        prepare_capture(replace(options, root=tmp_path / str(number), **one), [photos])
    assert ran == ["whole"] * 3
    ran.clear()
    for folder in sources:
        (folder / "1.jpg").touch()
    (photos.rename(tmp_path / "elsewhere"))
    of_folders = CaptureOptions(source=tmp_path, root=tmp_path / "out2")
    with pytest.raises(ConfigError, match="each of the 3 folders of photos in"):
        prepare_capture(replace(of_folders, series="one"), [tmp_path])
    prepare_capture(of_folders, [tmp_path])
    assert {*ran} >= STAGES_OF_BOTH


def test_masks_that_would_not_be_used_are_refused(tmp_path, photos, whole):
    options = CaptureOptions(source=photos, root=tmp_path / "out", masks="rembg")
    (options.root / "masks").mkdir(parents=True)
    with pytest.raises(ConfigError, match="--masks rembg: has no effect, the masks of"):
        prepare_capture(options, [photos])


@pytest.mark.parametrize("moved", [True, False])
def test_poses_that_cannot_be_true_are_looked_into(tmp_path, photos, whole, monkeypatch, moved):
    for path in photos.iterdir():
        path.rename(photos / f"img_{path.stem.replace('x_', '0').replace('y_', '1')}.png")
    names = tuple(path.name for path in sorted(photos.iterdir()))
    recognised_as(monkeypatch, moved)
    (tmp_path / "out" / "frames").mkdir(parents=True)
    frames = [Frame(f"{Path(name).stem}.jpg", name, (4, 3), 1.0, 0.0) for name in names]
    for frame in frames:
        (tmp_path / "out" / "frames" / frame.name).touch()
    write_frame_list(frames, False, tmp_path / "out")
    split = tuple(frame.name for frame in frames[:6]), tuple(frame.name for frame in frames[6:])
    options = CaptureOptions(source=photos, root=tmp_path / "out")
    whole.append(UntruePosesError("the poses cannot be true", split))
    if moved:
        prepare_capture(options, [photos])
        assert ran[-2:] == ["a+b", "layouts"]
        assert read_recognition(tmp_path / "out", names).series == (names[:6], names[6:])
        return
    with pytest.raises(CaptureError, match="the poses cannot be true"):
        prepare_capture(options, [photos])
    whole.append(MovedObjectError(split))  # poses that are true are used, whatever the signs were
    (tmp_path / "out" / "series.json").unlink()
    prepare_capture(options, [photos])
    assert ran[-1] == "whole"
