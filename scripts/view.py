"""Shows a finished run in the browser: view.py RUN [--port PORT] [--host HOST] [key=value ...]"""

import argparse
import logging
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

from systems.configs import read_experiment
from systems.runs import checkpoints_beside, find_checkpoint, run_of
from utils.errors import CheckpointError, InputError


def main(argv: list[str] | None = None, stop: threading.Event | None = None) -> int:
    """Runs the command line until it is interrupted, or `stop` is set; returns its exit code, 2 for input that must be
    mended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="a folder exp/[name]/[tag]@[timestamp], or a checkpoint")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="such as dataset.root_dir=FOLDER")
    parser.add_argument("--port", default="", help="of the page (default: 8080, or the next one that is free)")
    parser.add_argument("--host", default="127.0.0.1", help="who reaches the page (default: this machine)")
    parser.add_argument("--gpu", default="0", help="index of the GPU, or cpu; without a GPU the CPU is used")
    args = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    try:
        view(args, stop or threading.Event())
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def view(args: argparse.Namespace, stop: threading.Event) -> None:
    """Opens the page and answers visitors until `stop` is set. Raises InputError."""
    checkpoint = find_checkpoint(args.run)
    run = run_of(checkpoint)
    if run is None:
        raise CheckpointError(f"{args.run}: no config/parsed.yaml beside it. Give a run's folder under exp/.")
    experiment = read_experiment([run.parsed_config], args.overrides)
    from utils.imports import import_lightning

    import_lightning()  # before all that imports it
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # importing it had set its own level
    from datasets.datamodule import SceneData
    from systems.training.devices import Devices, pick_device
    from systems.training.trainer import check_backend, make_trainer
    from systems.viewer.address import find_address, parse_port
    from utils.interrupts import Interrupts

    address = find_address(args.host, parse_port(args.port))
    device = pick_device(args.gpu)
    check_backend(experiment.model.backend, device)
    model, views = experiment.model, experiment.trainer.limit_val_batches
    data = SceneData(experiment.dataset, not model.batch_image_sampling, views, model.backend)
    from systems.viewer.finished import FinishedRun

    checkpoints = checkpoints_beside(checkpoint)
    # for the precision of its passes alone
    trainer = make_trainer(experiment, run, Path("runs"), Devices.single(device), Interrupts())
    finished = FinishedRun(
        experiment=experiment,
        run=run,
        checkpoints=checkpoints,
        chosen=next(step for step, path in checkpoints.items() if path == checkpoint),
        device=device,
        scene=data.scene("train"),
        views=lambda split: data.views(split, device),
        precision=trainer.precision_plugin.val_step_context,
        world_from_scene=data.world_from_scene,
    )
    finished.serve(address, stop, lambda found: print(f"{found.url}: {run.path}; Ctrl+C ends it", flush=True))


if __name__ == "__main__":
    sys.exit(main())
