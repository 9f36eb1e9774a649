"""Trains, tests and exports: flags and YAML become an experiment, an experiment becomes results on disk."""

import argparse
import logging
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from systems.configs import Experiment, read_experiment
from systems.runs import RunFolder, new_trial, resumed_run
from systems.runs.resuming import find_start, going_on_told
from utils import registry
from utils.config import schema
from utils.errors import CheckpointError, ConfigError, InputError
from utils.eta import format_duration
from utils.interrupts import Interrupts, Stopped
from utils.log_lines import warnings_logged

if TYPE_CHECKING:
    from datasets.datamodule import SceneData
    from systems.training.attempts import Job

log = logging.getLogger("photosurf")
MODES = {"train": ("train", "val", "test"), "validate": ("val",), "test": ("test",), "predict": ("test",)}  # and splits


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise ConfigError(f"command line: {message}. See python launch.py --help.")


def make_parser() -> argparse.ArgumentParser:
    """The flags of the command line."""
    parser = _Parser(
        prog="launch.py",
        description="Neural surface reconstruction: posed photographs in, a mesh out.",
        epilog="key=value pairs such as dataset.scene=lego trainer.max_steps=5000 override the YAML.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", nargs="+", action="extend", metavar="YAML", help="one or more files, merged in order"
    )
    parser.add_argument(
        "--gpu", default="0", help="0, or 0,1 to train with a process each, or cpu; without a GPU the CPU is used"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--train", action="store_true", help="train, then test")
    mode.add_argument("--validate", action="store_true", help="render and measure the validation views")
    mode.add_argument(
        "--test", action="store_true", help="render and measure the held-out views, export mesh and video"
    )
    mode.add_argument("--predict", action="store_true", help="render an orbit")
    mode.add_argument("--list", action="store_true", help="every component with its file and fields")
    mode.add_argument("--dump", action="store_true", help="the resolved YAML")
    parser.add_argument(
        "--resume", type=Path, metavar="CKPT", help="a checkpoint, or a run's folder for its newest one"
    )
    parser.add_argument("--resume_weights_only", action="store_true", help="take the weights, start at step 0")
    parser.add_argument("--exp_dir", type=Path, default=Path("exp"), help="where results go (default: exp)")
    parser.add_argument("--runs_dir", type=Path, default=Path("runs"), help="where TensorBoard logs go (default: runs)")
    parser.add_argument(
        "--view", nargs="?", const="", metavar="PORT", help="with --train: a live page in the browser (default: 8080)"
    )
    parser.add_argument(
        "--view_host", default="127.0.0.1", metavar="HOST", help="who reaches it (default: this machine)"
    )
    parser.add_argument("--verbose", action="store_true", help="more log lines, and tracebacks with errors")
    return parser


def parse_args(argv: list[str]) -> argparse.Namespace:
    """Flags, and `overrides` for all key=value. Raises ConfigError for anything else."""
    parser = make_parser()
    args, rest = parser.parse_known_args(argv)
    args.argv = argv
    args.config = args.config or []
    args.overrides = [item for item in [*args.config, *rest] if "=" in item and not item.startswith("-")]
    args.config = [item for item in args.config if item not in args.overrides]
    if args.view and "=" in args.view:  # an override after --view, which takes the next word for a port
        args.overrides, args.view = [args.view, *args.overrides], ""
    for item in rest:
        if item not in args.overrides:
            flags = [flag for action in parser._actions for flag in action.option_strings]
            kind = "unknown flag" if item.startswith("-") else "expected key=value"
            raise ConfigError(
                f"command line: '{item}': {kind}.{registry.nearest(item, flags)} See python launch.py --help."
            )
    if not any(getattr(args, name) for name in (*MODES, "list", "dump")):
        raise ConfigError("command line: say what to do: --train, --validate, --test, --predict, --list or --dump.")
    if args.resume_weights_only and args.resume is None:
        raise ConfigError("command line: --resume_weights_only needs --resume CKPT.")
    if args.resume is None and (args.validate or args.test or args.predict):
        raise ConfigError("command line: --validate, --test and --predict need --resume CKPT or --resume RUN.")
    if args.view is not None and not args.train:
        raise ConfigError("command line: --view goes with --train. For a finished run: python scripts/view.py RUN.")
    return args


def load_experiment(args: argparse.Namespace) -> Experiment:
    """The checked experiment that the arguments describe; reads neither data nor device. Raises ConfigError."""
    paths = list(args.config)
    if not paths and args.resume is not None:
        run = resumed_run(args.resume)
        if run is None:
            raise ConfigError(f"--resume {args.resume}: no config/parsed.yaml beside it; give the YAML with --config.")
        paths = [run.parsed_config]
    if not paths:
        raise ConfigError("command line: no config. Give one as --config configs/neus-blender.yaml.")
    return read_experiment(paths, args.overrides)


def list_components() -> str:
    """Every registered component: kind, name, file, and its fields with their defaults."""
    lines = []
    for kind in registry.kinds():
        lines.append(f"{kind}:")
        for name in registry.names(kind):
            entry = registry.find(kind, name)
            summary = (entry.target.__doc__ or "").strip().splitlines()[0]
            lines.append(f"  {name}  ({entry.file})  {summary}")
            if is_dataclass(entry.target):
                lines += [f"      {_describe(item)}" for item in fields(entry.target)]
    return "\n".join(lines)


def _describe(item: Any) -> str:
    kind = item.type if isinstance(item.type, str) else schema.describe(item.type)
    if "kind" in item.metadata:
        kind = f"a {item.metadata['kind']}"
    value = schema.default_of(item)
    return f"{item.name}: {kind}" + ("" if value is schema.REQUIRED else f" = {value!r}")


def execute(args: argparse.Namespace, experiment: Experiment, warned: Sequence[str], interrupts: Interrupts) -> dict:
    """Runs the chosen mode; returns the report that metrics.json holds. Torch is imported from here on.

    warned: what was logged as a warning so far; it grows meanwhile."""
    from utils.imports import import_lightning

    import_lightning()  # before all that imports it
    from datasets.datamodule import SceneData
    from systems.training.attempts import Job, help_to_train
    from systems.training.devices import pick_devices
    from systems.training.trainer import check_backend
    from systems.viewer.address import find_address, parse_port

    if not args.verbose:
        for name in ("pytorch_lightning", "lightning_fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)  # importing them had set levels of their own
    start = find_start(args.resume, args.train, args.resume_weights_only)
    devices = pick_devices(args.gpu)
    seen = args.view is not None and devices.is_first
    address = find_address(args.view_host, parse_port(args.view)) if seen else None
    if devices.size > 1 and not args.train:
        raise ConfigError(f"--gpu {args.gpu}: several processes only --train. Name one GPU, such as --gpu 0.")
    check_backend(experiment.model.backend, devices.own)
    model, views = experiment.model, experiment.trainer.limit_val_batches
    data = SceneData(experiment.dataset, not model.batch_image_sampling, views, model.backend)
    mode = next(name for name in MODES if getattr(args, name))
    scenes = {split: data.scene(split) for split in MODES[mode]}
    run = start.run
    if run is None:
        experiment = replace(experiment, trial_name=experiment.trial_name or new_trial(experiment.tag))
        run = RunFolder(args.exp_dir / experiment.name / experiment.trial_name)
    if args.train and start.step >= experiment.trainer.max_steps and run.finished_step == start.step:
        raise CheckpointError(
            f"{start.checkpoint}: is at step {start.step}, trainer.max_steps is {experiment.trainer.max_steps}: "
            f"nothing is left to train. Raise trainer.max_steps, or use --test to export again."
        )
    job = Job(experiment, run, args.runs_dir, devices, interrupts, start.checkpoint, args.resume_weights_only)
    if not devices.is_first:
        logging.disable(logging.WARNING)
        help_to_train(job, data)
        return {}
    if address is not None:
        from systems.viewer.live import LiveView  # only now: a run without it does not need viser

        job = replace(job, callbacks=(LiveView(address),))
    with going_on_told(args.argv, run, is_new=start.run is None):
        return perform(job, data, scenes, mode, warned, args.config)


def perform(
    job: "Job", data: "SceneData", scenes: Mapping[str, Any], mode: str, warned: Sequence[str], configs: Sequence[str]
) -> dict[str, Any]:
    """Trains, validates, tests or predicts; see `execute`. scenes: the splits in use; configs: files of the YAML."""
    from systems.training.attempts import train
    from systems.training.banner import announce
    from systems.training.trainer import write_metrics

    run, experiment = job.run, job.experiment
    job.interrupts.listen()
    attempt = job.prepare()
    run.create("\n---\n".join(Path(path).read_text(encoding="utf-8") for path in configs), schema.to_dict(experiment))
    announce(experiment, mode, scenes, attempt.system, run, Path(attempt.trainer.logger.log_dir))
    if mode == "train":
        run.check_room(attempt.checkpoint_bytes)
        train(job, attempt, data)
    system, trainer = attempt.system, attempt.alone(job)
    if mode == "validate":
        trainer.validate(system, datamodule=data, verbose=False)
    elif mode == "predict":
        trainer.predict(system, datamodule=data, return_predictions=False)
    else:
        trainer.test(system, datamodule=data, verbose=False)
    report = write_metrics(trainer, system, run, job.devices, mode, warned)
    if experiment.export.report and mode in ("train", "test"):
        from systems.report.page import leave_report  # only now: what it imports would delay the first step

        report |= leave_report(run.path, experiment)
    if mode == "train":
        attempt.saver.check_saved(attempt.trainer)
    if system.failure is not None:
        raise system.failure
    return report


def summarise(report: dict[str, Any], seconds: float) -> str:
    """What was made in so many seconds and where it lies, in four lines at most."""
    folder, figures = Path(report["file"]).parent, [f"done in {format_duration(seconds)}"]
    figures += [f"training {format_duration(report['train_seconds'])}"] if "train_seconds" in report else []
    figures += [f"{name} {report[name]:.4g}" for name in ("psnr", "ssim") if name in report]
    if "mesh_against_gt" in report:
        found = report["mesh_against_gt"]
        figures.append(
            f"chamfer {found['chamfer']:.4g} ({found['chamfer_permille']:.3g} per mille of the true mesh's diagonal), "
            f"F-score {found['fscore_0.5pct']:.4f} at 0.5 %, {found['fscore_1pct']:.4f} at 1 %"
        )
    lines = [", ".join(figures)]
    if files := report.get("mesh", {}).get("files"):
        lines.append(f"mesh:    {', '.join([str(folder / files[0]), *files[1:]])}")
    lines += [f"video:   {folder / report['video']}"] if "video" in report else []
    if "page" in report:
        lines.append(f"report:  {folder / report['page']}, {Path(report['file']).name}")
    else:
        lines.append(f"metrics: {report['file']}")
    return "\n".join(lines)


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
    try:
        args = parse_args(argv)
        set_up_logging(args.verbose)
        if args.list:
            print(list_components())
            return 0
        experiment = load_experiment(args)
        if args.dump:
            print(OmegaConf.to_yaml(schema.to_dict(experiment)), end="")
            return 0
        started = time.perf_counter()
        with warnings_logged() as warned, Interrupts() as interrupts:
            report = execute(args, experiment, warned, interrupts)
        if report:  # of the first process
            print(summarise(report, time.perf_counter() - started))
    except Stopped as stop:
        return stop.exit_code
    except InputError as error:
        if "--verbose" in argv:
            logging.getLogger("photosurf").exception("traceback")
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
