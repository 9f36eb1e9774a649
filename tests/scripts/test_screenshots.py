"""Pictures of pages are taken once they show what they should, and a page that complains gives none."""

from pathlib import Path

import numpy as np
import pytest
from browser import chromium
from finished_run import write_finished_run

from scripts import screenshots
from scripts.screenshots import CELLS, GAP, WINDOWS, main
from systems.configs import read_experiment
from systems.report.page import write_report
from systems.report.results import read_results
from utils.images import read_image

ON_LOAD = 'this.style.background = "repeating-linear-gradient(red 0 20px, blue 20px 40px)";'
VIEWER = """customElements.define("model-viewer", class extends HTMLElement {
  async connectedCallback() {
    const mesh = await (await fetch(this.getAttribute("src"))).text();
    this.loaded = mesh === "a mesh";
    %s
  }
});"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a report and a file that the viewers of these tests take for a mesh."""
    results = read_results(write_finished_run(tmp_path / "cow" / "a@1"))
    write_report(results, read_experiment([results.folder.parsed_config], []))
    (results.folder.save / "it9-mc8.glb").write_text("a mesh", encoding="utf-8")
    return results.folder.path


@pytest.fixture(scope="module")
def no_chromium_skips() -> None:
    with chromium():
        pass


def taken(run: Path, script: str) -> tuple[int, Path]:
    """The exit code, and the folder of the pictures, with a viewer of web pages that does something on load."""
    (run / "viewer.js").write_text(VIEWER % script, encoding="utf-8")
    out = run / "pictures"
    return main([str(run), "--no-viewer", "--web-viewer", str(run / "viewer.js"), "--out", str(out)]), out


@pytest.mark.browser
@pytest.mark.usefixtures("no_chromium_skips")
def test_report_and_glb_are_shown_wide_and_on_phones_light_and_dark(run: Path) -> None:
    code, out = taken(run, ON_LOAD)
    assert (code, sorted(path.name for path in out.iterdir())) == (
        0,
        ["phones.jpg", "report.jpg", "screens.jpg", "web.jpg"],
    )
    web = read_image(out / "web.jpg")
    assert web.shape[:2] == (WINDOWS[""]["height"], WINDOWS[""]["width"])
    assert np.ptp(web.reshape(-1, 3), axis=0).min(initial=255, where=[True, False, True]) > 200  # red and blue
    for name, size in (("screens", ""), ("phones", "-phone")):
        sheet, (width, height) = read_image(out / f"{name}.jpg"), CELLS[size]
        assert sheet.shape[:2] == (2 * height + GAP, 2 * width + GAP)
    phones = read_image(out / "phones.jpg")
    assert phones[10, 100].min() > 200 > 50 > phones[height + GAP + 10, 100].max()  # light above dark


@pytest.mark.browser
@pytest.mark.usefixtures("no_chromium_skips")
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('console.error("an odd mesh");', "the page complains: an odd mesh"),
        ('await fetch("http://192.0.2.1/more.js");', "cannot load http://192.0.2.1/more.js"),
        ("this.loaded = false;", "it9-mc8.glb in viewer.js did not come within"),
    ],
)
def test_a_viewer_that_complains_gives_no_picture(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], script: str, expected: str
) -> None:
    monkeypatch.setattr(screenshots, "PATIENCE", 3.0)
    code, out = taken(run, script + ON_LOAD)
    assert (code, out.exists()) == (2, False)
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("save/report.html", "expected save/report.html in it"),
        ("save/it9-mc8.glb", "no .glb in its folder save. Make one: python scripts/export.py"),
        ("viewer.js", "no such file. --help tells where"),
    ],
)
def test_what_is_missing_is_said(run: Path, capsys: pytest.CaptureFixture[str], missing: str, expected: str) -> None:
    (run / "viewer.js").touch()
    (run / missing).unlink()
    assert main([str(run), "--web-viewer", str(run / "viewer.js"), "--out", str(run / "pictures")]) == 2
    assert expected in capsys.readouterr().err
