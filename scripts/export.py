"""Exports the mesh of a finished run again, with other formats, textures or resolutions, without rendering views.

Example: python scripts/export.py exp/neus-demo/first@DATE --glb --texture views --resolution 1024

The mesh is that of launch.py --test: the same steps, settings and names, in the folder of the run or in --out."""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
from datasets.scene import EarlyScenes
from scripts.command_line import exit_code_of, make_parser
from systems.configs import Experiment, read_experiment
from systems.runs import RunFolder, step_of, trained_run
from systems.runs.command_line import check_gpu
from systems.runs.moved_data import with_moved_paths
from systems.runs.recorded_config import check_start_values, config_files
from systems.training.missing_gpu import refuse_missing_gpu
from utils.errors import ConfigError, OutputError
from utils.files import replace, require_place
from utils.packages import require_installed
from utils.registry import names
from utils.terminal.eta import format_duration
from utils.terminal.numbers import counted

log = logging.getLogger("photosurf")
_PATIENCE = 0.25  # seconds that photographs have to show that they cannot be read, before torch is imported


def export_parser() -> argparse.ArgumentParser:
    """The flags of the command line; each exporter has one of its own name."""
    parser = make_parser(__doc__, hint=_formats())
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, exp/[name]/[tag]@[time], or checkpoint")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="changed settings, such as export.max_faces=200000"
    )
    for name in names("exporter"):
        parser.add_argument(
            f"--{name}", dest="formats", action="append_const", const=name, help=f"write {name} (default: as the run)"
        )
    parser.add_argument("--texture", choices=("views", "field", "none"), help="what its picture is made of")
    parser.add_argument("--resolution", type=int, metavar="N", help="lattice points along each side of the region")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the files go (default: save/ of the run)")
    parser.add_argument("--overwrite", action="store_true", help="replace files of the same names")
    parser.add_argument("--gpu", default="auto", help="index of the GPU, cpu, or auto (default): the first, else CPU")
    parser.add_argument("--verbose", action="store_true", help="more log lines, and tracebacks with errors")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for bad input."""
    args = export_parser().parse_intermixed_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    for name in ("photosurf", "datasets", "models", "systems", "utils"):
        logging.getLogger(name).setLevel(logging.DEBUG if args.verbose else logging.WARNING)
    log.setLevel(logging.DEBUG if args.verbose else logging.INFO)
    return exit_code_of(lambda: export(args), args.verbose)


def _formats() -> str:
    return f"Formats are {', '.join(f'--{name}' for name in names('exporter'))}."


def overrides_of(args: argparse.Namespace) -> list[str]:
    """What the flags ask for as key=value, behind what was given so, over which they prevail."""
    found = list(args.overrides)
    for word in (word for word in found if "=" not in word):
        hint = f" Did you mean '--{word}'?" if word in names("exporter") else f" {_formats()}"
        raise ConfigError(f"command line: '{word}': expected key=value.{hint}")
    if args.formats:
        found.append(f"export.formats=[{','.join(args.formats)}]")
    if args.texture is not None:
        found.append(f"export.texture={args.texture}")
    if args.resolution is not None:
        found.append(f"model.geometry.isosurface.resolution={args.resolution}")
    return found


def export(args: argparse.Namespace) -> None:
    """Extracts the mesh, writes its files, and prints what was written. Raises InputError."""
    started = time.perf_counter()
    check_gpu(args.gpu, trains=False)
    refuse_missing_gpu(args.gpu)
    checkpoint, run = trained_run(args.run)
    files = config_files(run)
    experiment = read_experiment(files, with_moved_paths(files, overrides_of(args)))
    check_start_values(run, experiment)
    folder = run.save if args.out is None else args.out
    require_installed(*experiment.export.packages)
    require_place(folder, f"--out {folder}")
    if not args.overwrite:
        refuse_existing(folder, mesh_files(experiment, step_of(checkpoint)))
    with EarlyScenes(experiment.dataset, ("test",)) as loader:  # photographs are decoded while torch is imported
        loader.refuse_early(_PATIENCE)
        log.info("%s: the mesh of %s is exported, which takes some seconds", run.path, checkpoint.name)
        report = _export(args, experiment, run, checkpoint, loader, folder)
    told = f"{report['vertices']:,} vertices, {report['faces']:,} faces, {counted(report['components'], 'component')}"
    print(f"mesh: {', '.join(map(str, report['files']))}")
    print(f"done in {format_duration(time.perf_counter() - started)}: {told}")


def _export(
    args: argparse.Namespace,
    experiment: Experiment,
    run: RunFolder,
    checkpoint: Path,
    loader: EarlyScenes,
    folder: Path,
) -> dict[str, Any]:
    from utils.imports import import_lightning

    import_lightning()  # before all that imports it
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)  # importing it had set levels of its own
    from datasets.datamodule import SceneData
    from systems.export.exporter import extract_mesh
    from systems.training.attempts import Job
    from systems.training.devices import Devices, pick_device
    from systems.training.rendering import Renderer
    from systems.training.trainer import check_backend
    from utils.interrupts import Interrupts

    device = pick_device(args.gpu)
    check_backend(experiment.model.backend, device)
    system = Job(experiment, run, Path("runs"), Devices.single(device), Interrupts(), checkpoint).prepare().system
    system.eval()
    if not args.overwrite:
        refuse_existing(folder, mesh_files(experiment, system.current_step))
    model = experiment.model
    data = SceneData(experiment.dataset, not model.batch_image_sampling, 0, model.backend, loader)
    renderer = Renderer(system.model, system.learned, data, device)
    renderer.begin(system.current_step)
    views = partial(data.views, device=device)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as unfinished:
        stem, shown = Path(unfinished) / f"it{system.current_step}", renderer.shown
        report = extract_mesh(system.model, experiment, stem, data.world_from_scene, views, shown=shown).write()
        written = sorted(path.name for path in Path(unfinished).iterdir())
        if not args.overwrite:
            refuse_existing(folder, written)
        for name in written:
            replace(Path(unfinished) / name, folder / name)
    return {**report, "files": [folder / name for name in written]}


def mesh_files(experiment: Experiment, step: int) -> list[str]:
    """The names of the mesh in all formats, at a step."""
    mesh = f"it{step}-mc{experiment.model.geometry.isosurface.resolution}"
    return [f"{mesh}.{name}" for name in experiment.export.formats]


def refuse_existing(folder: Path, files: Sequence[str]) -> None:
    """Raises OutputError if the folder has one of the files."""
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise OutputError(
            f"{folder / there[0]}: exists already{'' if len(there) == 1 else f', with {len(there) - 1} more'}. Give "
            f"another folder with --out FOLDER, or --overwrite to replace it."
        )


if __name__ == "__main__":
    sys.exit(main())
