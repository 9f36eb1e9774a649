"""Trains, tests and exports: reads flags and YAML as an experiment, and leaves its results on disk."""

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
import argparse
import logging
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.files.true_mesh import true_mesh_files
from datasets.options import common_options
from datasets.scene import EarlyScenes, Scene
from systems.auto_radius import AUTO, asks_for_radius, with_radius
from systems.configs import Experiment, experiment_of, read_sources
from systems.runs.closing_lines import summarise
from systems.runs.command_line import MODES, parse_args
from systems.runs.listing import list_components
from systems.runs.moved_data import with_moved_paths
from systems.runs.new_folder import own_folder
from systems.runs.recorded_config import ConfigRecord, read_parsed, write_used
from systems.runs.resuming import Start, config_paths, find_start, going_on_told, place_run, refuse_finished
from systems.training.missing_gpu import refuse_missing_gpu
from systems.viewer.address import find_address, parse_port
from utils import registry
from utils.config import schema
from utils.config.sources import Source
from utils.config.text import as_yaml
from utils.errors import ConfigError, InputError
from utils.files import as_input
from utils.imports import import_lightning, libraries_ahead
from utils.interrupts import Interrupts, Stopped
from utils.packages import require_installed
from utils.platforms import print_utf8
from utils.stages import Stages
from utils.terminal.at_work import at_work
from utils.terminal.log_lines import warnings_logged

if TYPE_CHECKING:
    from datasets.datamodule import SceneData
    from systems.training.attempts import Job
    from systems.training.devices import Devices

log = logging.getLogger("photosurf")
_PATIENCE = 0.25  # seconds that photographs have to show that they cannot be read, before torch is imported


def load_sources(args: argparse.Namespace) -> list[Source]:
    """The YAML files and overrides that the arguments name. Raises ConfigError."""
    paths, is_of_run = config_paths(args.config, args.resume), not args.config
    return read_sources(paths, with_moved_paths(paths, args.overrides) if is_of_run else args.overrides)


def load_experiment(args: argparse.Namespace) -> Experiment:
    """The checked experiment that the arguments describe; reads neither data nor device. Raises ConfigError."""
    return experiment_of(load_sources(args))


def chosen_mode(args: argparse.Namespace) -> str:
    """What the arguments ask for, a key of MODES."""
    return next(name for name in MODES if getattr(args, name))


def scenes_of(args: argparse.Namespace, experiment: Experiment) -> EarlyScenes:
    """Loads the splits that the arguments ask for from the moment that it is entered; before a training, it looks
    whether masks contradict the cameras, whether the region, if it is known, shows the scene, and while the training
    begins, whether photographs contradict the cameras."""

    def judge(scene: Scene) -> None:
        from datasets.mask_agreement import check_agreement

        check_agreement(scene)
        if not asks_for_radius(experiment):
            _check_region(scene, experiment)

    def doubt(scene: Scene) -> None:
        from datasets.points.photo_agreement import check_photographs_and_cameras

        check_photographs_and_cameras(scene)

    checks = (judge, doubt) if args.train else ()
    return EarlyScenes(experiment.dataset, MODES[chosen_mode(args)], *checks)


def _check_region(scene: Scene, experiment: Experiment) -> None:
    from datasets.region_fit import CENTRED, CENTRING, check_region

    if (radius := getattr(experiment.model, "radius", None)) is not None:
        check_region(scene, radius, CENTRING.get(registry.name_of(experiment.dataset), CENTRED))


def import_quietly(verbose: bool) -> None:
    """Imports Lightning, and torch with it; without `verbose` only errors of theirs are logged from then on."""
    import_lightning()
    if not verbose:
        for name in ("pytorch_lightning", "lightning_fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)  # importing them had set levels of their own


def execute(
    args: argparse.Namespace,
    sources: Sequence[Source],
    experiment: Experiment,
    warned: Sequence[str],
    interrupts: Interrupts,
    loader: EarlyScenes,
    stages: Stages,
) -> dict[str, Any]:
    """Runs the chosen mode; returns the report that metrics.json holds. Torch is imported from here on.

    sources: what the experiment was read from; warned: what was logged as a warning so far; it grows meanwhile; loader:
    of the splits of the mode, which it has begun to load; stages: of the run, the first of which has ended."""
    import_quietly(args.verbose)  # before all that imports Lightning
    from datasets.datamodule import SceneData
    from systems.training.attempts import Job, help_to_train
    from systems.training.callbacks import ConfigKeeper, Doubt
    from systems.training.compiling_ahead import compiling_ahead
    from systems.training.devices import pick_devices, wake
    from systems.training.finishing_ahead import finishing_ahead

    stages.end("imports")
    start = find_start(args.resume, args.train, args.resume_weights_only)
    asked = experiment.trial_name
    run, experiment = place_run(start, experiment, args.exp_dir, args.overrides, args.train)
    devices = pick_devices(args.gpu)
    wake(devices.own)
    seen = args.view is not None and devices.is_first
    address = find_address(args.view_host, parse_port(args.view)) if seen else None
    check_means(args, experiment, devices)
    ahead = (compiling_ahead, finishing_ahead) if args.train else ()  # before photographs are read
    callbacks = (*(callback for begin in ahead for callback in begin(experiment, devices)), Doubt(loader.doubt))
    model, views = experiment.model, experiment.trainer.limit_val_batches
    data = SceneData(experiment.dataset, not model.batch_image_sampling, views, model.backend, loader)
    stages.end("device")
    scenes = {split: data.scene(split) for split in loader.splits}
    loader.judge()
    experiment, found = settle_radius(experiment, data, start, args.train)
    stages.end("photographs")
    is_new = devices.is_first and start.run is None
    folder = own_folder(run, experiment, args.runs_dir, asked) if is_new else nullcontext((run, experiment))
    with folder as (run, experiment):
        how = start.checkpoint, args.resume_weights_only
        job = Job(experiment, run, args.runs_dir, devices, interrupts, *how, stages=stages, callbacks=callbacks)
        if not devices.is_first:
            logging.disable(logging.WARNING)
            help_to_train(job, data)
            return {}
        record = ConfigRecord.of(run, config_paths(args.config, args.resume), sources, experiment).with_applied(found)
        if args.train and run.parsed_config.is_file():
            job = replace(job, callbacks=(*callbacks, ConfigKeeper(record, start.step)))
        if address is not None:
            from systems.viewer.live import LiveView  # only now: a run without it does not need viser

            job = replace(job, callbacks=(*job.callbacks, LiveView(address)))
        with going_on_told(args.argv, run, is_new=start.run is None):
            return perform(job, data, scenes, chosen_mode(args), warned, record)


def check_means(args: argparse.Namespace, experiment: Experiment, devices: "Devices") -> None:
    """Raises ConfigError for what devices cannot do, rather now than later."""
    from systems.training.trainer import check_backend

    if devices.size > 1 and not args.train:
        raise ConfigError(f"--gpu {args.gpu}: several devices serve --train only. Name one, such as --gpu 0.")
    check_backend(experiment.model.backend, devices.own)


def settle_radius(
    experiment: Experiment, data: "SceneData", start: Start, trains: bool
) -> tuple[Experiment, dict[str, Any]]:
    """The experiment with a number for `model.radius=auto`, and what that changes in its config, by dotted keys.

    A run that goes on has the number that it began with. Before a training, raises DataError where the region of that
    radius shows nothing of the scene."""
    from datasets.evaluation.truth_in_view import doubt_of_truth
    from datasets.region_fit import auto_radius

    found: dict[str, Any] = {}
    if asks_for_radius(experiment):
        recorded = AUTO if start.run is None else read_parsed(start.run).get("model", {}).get("radius", AUTO)
        radius = auto_radius(data.scene("train")) if recorded == AUTO else recorded
        experiment, found = with_radius(experiment, radius, start.checkpoint is None and recorded == AUTO)
        if trains:
            _check_region(data.scene("train"), experiment)
    if trains and data.true_mesh is not None and (doubt := doubt_of_truth(data.scene("train"), data.true_mesh)):
        log.warning("dataset.gt_mesh: %s", doubt)
    return experiment, found


def perform(
    job: "Job", data: "SceneData", scenes: Mapping[str, Any], mode: str, warned: Sequence[str], record: ConfigRecord
) -> dict[str, Any]:
    """Trains, validates, tests or predicts; see `execute`. scenes: the splits in use."""
    from systems.training.attempts import keep_halved, train
    from systems.training.banner import announce
    from systems.training.trainer import write_metrics, write_stage_seconds

    run, experiment = job.run, job.experiment
    job.interrupts.listen()
    attempt = job.prepare()
    record.create()
    job.stages.end("model")
    announce(experiment, mode, scenes, attempt.system, run, Path(attempt.trainer.logger.log_dir))
    if mode == "train":
        run.check_room(attempt.checkpoint_bytes)
        train(job, attempt, data)
    system, trainer = attempt.system, attempt.alone(job)
    with system.passing():
        if mode == "validate":
            trainer.validate(system, datamodule=data, verbose=False)
        elif mode == "predict":
            trainer.predict(system, datamodule=data, return_predictions=False)
        else:
            trainer.test(system, datamodule=data, verbose=False)
    report = write_metrics(trainer, system, run, job.devices, mode, warned)
    write_used(Path(report["file"]), system.experiment)
    if mode == "train":
        keep_halved(run, system)
    if experiment.export.report and mode in ("train", "test"):
        from systems.report.page import leave_report  # only now: what it imports would delay the first step

        with at_work("report"):
            report |= leave_report(run.path, system.experiment)
    if mode == "train":
        attempt.saver.check_saved(attempt.trainer)
        write_stage_seconds(Path(report["file"]), job.stages)
    if system.failure is not None:
        raise system.failure
    return report


def set_up_logging(verbose: bool) -> None:
    """Our own lines on stderr; those of libraries only with --verbose."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    for name in ("photosurf", "datasets", "models", "systems", "utils"):
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.INFO)
    if not verbose:
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch.optim")


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns its exit code: 2 for input that must be mended, 130 and 143 for one that was told
    to stop by Ctrl-C or SIGTERM."""
    argv = sys.argv[1:] if argv is None else argv
    print_utf8()
    try:
        args = parse_args(argv)
        set_up_logging(args.verbose)
        if args.list:
            for line in list_components():
                print(line)
            return 0
        sources = load_sources(args)
        experiment = experiment_of(sources)
        if args.dump:
            print(as_yaml(schema.to_dict(experiment)), end="")
            return 0
        if args.view is not None:
            parse_port(args.view)  # refused before anything slow
        refuse_missing_gpu(args.gpu)
        if args.train or args.test:
            require_installed(*experiment.export.packages)
        if args.train and args.resume is not None and not args.resume_weights_only:
            refuse_finished(args.resume, experiment.trainer.max_steps)
        started, stages = time.perf_counter(), Stages()
        stages.end("config")
        loaded = libraries_ahead(args.gpu)
        with loaded, warnings_logged() as warned, Interrupts() as interrupts, scenes_of(args, experiment) as loader:
            loader.refuse_early(_PATIENCE)
            true_mesh_files(common_options(experiment.dataset).gt_mesh)
            log.info("%s: PyTorch is imported, which takes some seconds", experiment.name)
            report = execute(args, sources, experiment, warned, interrupts, loader, stages)
        if report:  # of the first process
            print(summarise(report, time.perf_counter() - started, args.train))
    except Stopped as stop:
        return stop.exit_code
    except (InputError, OSError) as failed:
        if (error := as_input(failed) if isinstance(failed, OSError) else failed) is None:
            raise
        if "--verbose" in argv:
            logging.getLogger("photosurf").exception("traceback")
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
