"""Each series is prepared by itself, then all are joined; what is unchanged is skipped."""

from functools import partial
from pathlib import Path

import pytest

from datasets.capture import series_pipeline
from datasets.capture.options import CaptureOptions
from datasets.capture.series_pipeline import SERIES_STAGES, prepare_series
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
    prepare_series(options, sources)
    stages = [f"{stage}-{label}" for label in "ab" for stage in SERIES_STAGES]
    assert ran == [*stages, "a+b", "layouts"]
    ran.clear()
    prepare_series(options, sources)
    assert ran == []
    prepare_series(options, sources, only="masks")
    assert ran == ["masks-a", "masks-b"]
    ran.clear()
    prepare_series(options, sources)  # a series ran again, so they are joined again
    assert ran == ["a+b", "layouts"]
    ran.clear()
    prepare_series(options, sources, start="join")
    assert ran == ["a+b", "layouts"]
    ran.clear()
    prepare_series(options, sources, start="masks")
    assert ran == ["masks-a", "masks-b", "a+b", "layouts"]


def test_what_several_series_cannot_have(tmp_path, sources):
    given = {"source": sources[0], "root": tmp_path / "out"}
    for options, message in (
        (CaptureOptions(**given, keep_scene=True), "--keep-scene: several series"),
        (CaptureOptions(**given, roi="0,0,0,1"), r"--roi: .* in .*series.a"),
    ):
        with pytest.raises(ConfigError, match=message):
            prepare_series(options, sources)
    with pytest.raises(ConfigError, match="twice"):
        prepare_series(CaptureOptions(**given), [sources[0], sources[0]])
    with pytest.raises(CaptureError, match="gone: no such file or folder"):
        prepare_series(CaptureOptions(**given), [sources[0], tmp_path / "gone"])
    assert ran == []


def test_each_series_takes_its_own_masks(tmp_path, sources, monkeypatch):
    seen: list[CaptureOptions] = []
    stages = series_pipeline.make_stages
    monkeypatch.setattr(series_pipeline, "make_stages", lambda options: seen.append(options) or stages(options))
    (tmp_path / "masks" / "lying").mkdir(parents=True)
    options = CaptureOptions(source=sources[0], root=tmp_path / "out", masks=str(tmp_path / "masks"), neus=True)
    prepare_series(options, sources)
    assert [Path(one.masks).name for one in seen] == ["masks", "lying"]
    assert [(one.source.name, one.root.name, one.neus) for one in seen] == [
        ("standing", "a", False),
        ("lying", "b", False),
    ]
