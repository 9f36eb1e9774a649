"""Shows a finished run in the browser: its model from any side, its mesh, its cameras.

Example: python scripts/view.py exp/neus-demo/first@DATE"""

import argparse
import logging
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
from datasets.assemble import require_folder
from scripts.command_line import exit_code_of, make_parser
from systems.configs import read_experiment
from systems.runs import checkpoints_beside, trained_run
from systems.runs.command_line import check_gpu
from systems.runs.moved_data import with_moved_paths
from systems.runs.recorded_config import config_files
from systems.training.missing_gpu import refuse_missing_gpu
from systems.viewer.address import find_address, parse_port

log = logging.getLogger("photosurf")


def main(argv: list[str] | None = None, stop: threading.Event | None = None) -> int:
    """Runs the command line until Ctrl-C, or until `stop` is set; returns the exit code, 2 for bad input."""
    args = view_parser().parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    log.setLevel(logging.INFO)
    try:
        return exit_code_of(lambda: view(args, stop or threading.Event()))
    except KeyboardInterrupt:
        return 0


def view_parser() -> argparse.ArgumentParser:
    """The flags of the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, exp/[name]/[tag]@[time], or checkpoint")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="changed settings, such as dataset.root_dir=FOLDER"
    )
    parser.add_argument("--port", default="", help="port of the page (default: 8080, or the next free one)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 opens the page to the network (default: 127.0.0.1, this machine only)",
    )
    parser.add_argument(
        "--gpu", default="auto", help="index of the GPU, cpu, or auto (default): the first GPU, else the CPU"
    )
    return parser


def view(args: argparse.Namespace, stop: threading.Event) -> None:
    """Opens the page and answers visitors until `stop` is set. Raises InputError."""
    check_gpu(args.gpu, trains=False)
    refuse_missing_gpu(args.gpu)
    port = parse_port(args.port, "--port")
    checkpoint, run = trained_run(args.run)
    files = config_files(run)
    experiment = read_experiment(files, with_moved_paths(files, args.overrides))
    address = find_address(args.host, port, ("--port", "--host"))
    if (root := getattr(experiment.dataset, "root_dir", None)) is not None:
        require_folder(Path(root), "the images of the dataset")
    log.info("%s: %s is opened, which takes some seconds", run.path, checkpoint.name)
    from utils.imports import import_lightning

    import_lightning()  # before all that imports it
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # importing it had set its own level
    from datasets.datamodule import SceneData
    from systems.training.devices import Devices, pick_device
    from systems.training.trainer import check_backend, make_trainer
    from utils.interrupts import Interrupts

    device = pick_device(args.gpu)
    check_backend(experiment.model.backend, device)
    model, views = experiment.model, experiment.trainer.limit_val_batches
    data = SceneData(experiment.dataset, not model.batch_image_sampling, views, model.backend)
    from systems.training.photographs import corrections_of
    from systems.viewer.finished import FinishedRun
    from systems.viewer.start import upward

    checkpoints = checkpoints_beside(checkpoint)
    # only for the precision in which it runs passes
    trainer = make_trainer(experiment, run, Path("runs"), Devices.single(device), Interrupts())
    finished = FinishedRun(
        experiment=experiment,
        run=run,
        checkpoints=checkpoints,
        chosen=next(step for step, path in checkpoints.items() if path == checkpoint),
        device=device,
        correct=lambda learned: data.correct_cameras(corrections_of(learned)),
        scene=lambda: data.views("train", device).scene,
        views=lambda split: data.views(split, device),
        precision=trainer.precision_plugin.val_step_context,
        world_from_scene=data.world_from_scene,
        up=upward(data.scene("test").stand, data.up),
    )
    finished.serve(address, stop, lambda opened: print(f"{opened.url}: {run.path}; Ctrl+C ends it", flush=True))


if __name__ == "__main__":
    sys.exit(main())
