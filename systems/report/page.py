"""Writes save/report.html of a run: its results on one page, in a single file that opens without a network."""

import logging
import re
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from systems.configs import Experiment
from systems.report.curves import Curve, Plot, plot
from systems.report.mesh_packing import pack_mesh
from systems.report.metric_labels import (
    figure_text,
    headline,
    is_cost,
    label_of,
    numbers,
    shown_name,
    size_text,
    text_of,
)
from systems.report.pictures import HeldOut, choose_views, picture_uri, read_held_out, video_uri
from systems.report.results import RunResults, read_results
from systems.runs import MESH_SUFFIXES, quickest
from systems.runs.verdict import judge
from utils.config import schema
from utils.config.difference import changes
from utils.config.text import as_yaml
from utils.files import replacing
from utils.mesh.files import read_mesh

log = logging.getLogger(__name__)
MAX_FACES = 60_000  # of the mesh on a page
_VIEWS = 6
_WIDTH = 480  # pixels of a picture
_MESHES = ".obj", ".ply", ".glb", ".stl", ".usdz"
_TEMPLATES = Path(__file__).parent / "templates"


def leave_report(run: Path, experiment: Experiment) -> dict[str, Any]:
    """Writes save/report.html of a finished run and returns {"page": its name}; logs a warning and returns {} if it
    fails."""
    started = time.perf_counter()
    try:
        path = write_report(read_results(run), experiment)
    except Exception as error:  # any error: the results of the run are complete without the page
        log.warning("cannot write save/report.html: %s: %s", type(error).__name__, " ".join(str(error).split()))
        return {}
    size = path.stat().st_size / 2**20
    log.debug("%s: %.1f MiB in %.1f s", path.name, size, time.perf_counter() - started)
    return {"page": path.name}


def write_report(results: RunResults, experiment: Experiment) -> Path:
    """Writes save/report.html and returns its path. Raises DataError if files of the run are damaged."""
    metrics, save = results.metrics, results.folder.save
    video = save / metrics["video"] if "video" in metrics else None
    with ThreadPoolExecutor() as pool:  # decoders, encoders and decimation let go of the interpreter lock
        packing = pool.submit(packed_mesh, results, MAX_FACES)
        encoding = pool.submit(video_uri, video) if video and video.is_file() else None
        shown = list(pool.map(lambda index: _shown_view(results, index), choose_views(results, _VIEWS)))
        packed, caption = packing.result() or (None, "")
        encoded = encoding and encoding.result()
    content = {
        "headline": headline(metrics),
        "warnings": shown_warnings(metrics),
        "packed": packed,
        "mesh_caption": caption,
        "video": encoded,
        "video_name": video.name if video else "",
        "video_shows": _shown_by_video(metrics),
        "verdict": metrics.get("verdict") or judge(metrics),
        "files": _files(save),
        "plots": training_plots({"": results}),
        "views": [view for view in shown if view],
        "num_views": len(metrics.get("held_out", {}).get("views", ())),
        "tables": _tables(metrics),
        "changes": [(change.key, text_of(change.value), text_of(change.default)) for change in changes(experiment)],
        "yaml": as_yaml(schema.to_dict(experiment)),
    }
    return write_page(save / "report.html", "report.html", results.name, **content)


def _shown_view(results: RunResults, index: int) -> HeldOut | None:
    """A held-out view with (name, data URI) in place of its pictures; None without its file. Raises DataError."""
    view = read_held_out(results, index)
    return view and replace(
        view, pictures=[(name, picture_uri(image, _WIDTH)) for name, image in view.pictures.items()]
    )


def shown_warnings(metrics: dict[str, Any]) -> list[str]:
    """Why there is no mesh, and all that the run logged as a warning."""
    failure = metrics.get("mesh", {}).get("error")
    return [*([failure] if failure else []), *metrics.get("warnings", ())]


def packed_mesh(results: RunResults, max_faces: int) -> tuple[dict[str, Any], str] | None:
    """The mesh of a run for the page, and its caption; None if there is no mesh. Raises DataError."""
    paths = [results.folder.save / name for name in results.metrics.get("mesh", {}).get("files", ())]
    paths = [path for path in paths if path.suffix in MESH_SUFFIXES and path.is_file()]
    if not paths:
        return None
    path = quickest(paths)
    packed = pack_mesh(read_mesh(path), max_faces) | {"up": results.metrics.get("up")}
    shown, whole = packed["faces"], packed["faces_of_file"]
    return packed, f"{path.name}: {figure_text(whole)} faces" + (
        f", shown with {figure_text(shown)}." if shown < whole else "."
    )


def _shown_by_video(metrics: dict[str, Any]) -> str:
    if metrics["video"] == metrics.get("held_out_video", metrics["video"]) if "video" in metrics else True:
        return "held-out views, " + ", ".join(map(shown_name, metrics.get("held_out", {}).get("panel", ())))
    return "once around the object, colours and the directions of the surface"


def _files(save: Path) -> list[tuple[str, str]]:
    """Names and sizes of the files beside the page, meshes first; those in folders are the pictures of views."""
    paths = [path for path in sorted(save.glob("*")) if path.is_file() and path.name != "report.html"]
    paths.sort(key=lambda path: (path.suffix not in _MESHES, path.suffix != ".mp4"))
    return [(path.name, size_text(path.stat().st_size)) for path in paths]


def training_plots(runs: dict[str, RunResults]) -> list[Plot]:
    """Loss and PSNR over the steps, the curves of several runs in the same plots; one run alone shows each loss too.

    runs: by name."""
    losses: dict[str, Curve] = {}
    psnrs: dict[str, Curve] = {}
    for name, results in runs.items():
        for column, curve in results.curves.items():
            label = f"{name} {column}".strip()
            if column == "train/loss" or (column.startswith("train/loss/") and len(runs) == 1):
                losses[label] = curve
            elif column in ("train/psnr", "val/psnr"):
                psnrs[label] = curve
    drawn = plot("Loss, logarithmic, over steps", losses, logarithmic=True), plot("PSNR in dB over steps", psnrs)
    return [figure for figure in drawn if figure]


def _tables(metrics: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Headings, and rows of names and values."""
    values = numbers(metrics).items()
    quality = [(label_of(key), figure_text(value)) for key, value in values if not is_cost(key)]
    cost = [(label_of(key), figure_text(value)) for key, value in values if is_cost(key)]
    known = {key: value for key, value in metrics.get("environment", {}).items() if value is not None}
    environment = [(label_of(key), text_of(value)) for key, value in known.items()]
    return [("Metrics", quality), ("Time and memory", cost), ("Environment", environment)]


def write_page(path: Path, template: str, title: str, **content: Any) -> Path:
    """Writes a page from a template. All values are escaped, and the page may load nothing from elsewhere."""
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "viewer.js"))
    policy = "default-src 'none'; img-src data:; media-src data:; "
    policy += f"style-src {_source_of(style)}; script-src {_source_of(script)}"
    shared = {"title": title, "policy": Markup(policy), "style": Markup(style), "script": Markup(script)}
    with replacing(path) as temporary:
        page = _environment().get_template(template).render(**shared, **content)
        temporary.write_text(page, encoding="utf-8", newline="\n")
    return path


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"figures": figure_text, "label": label_of, "shown": shown_name, "breakable": _breakable}
    return environment


def _breakable(text: str) -> Markup:
    """A name that a narrow page breaks behind its dots and underscores, rather than within a word."""
    return Markup(re.sub("[._](?=.)", lambda found: f"{found[0]}<wbr>", str(escape(text))))


def _source_of(text: str) -> str:
    """The hash by which a content security policy allows an inline text."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode('ascii')}'"
