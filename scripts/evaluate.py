"""Measures meshes or images against the truth: any mesh, DTU scans by their benchmark's protocol, or renderings.

Example: python scripts/evaluate.py mesh --pred exp/neus-demo/first@DATE --gt load/spot/gt_mesh.ply"""

import argparse
import json
import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
import numpy as np

from scripts.command_line import exit_code_of, make_parser
from systems.runs import find_mesh
from utils.errors import DataError, InputError
from utils.files import replacing, require_place
from utils.mesh.opening import require_mesh_files
from utils.metrics.comparison import SHARES, Comparison, Culling
from utils.terminal.text_table import format_table
from utils.terminal.typed_paths import PathParser, nearby, require_files, typed_path

log = logging.getLogger("photosurf")
_OTHER_UNITS = 8.0  # ratio of sizes from which on two meshes are hardly in the same units


def evaluate_mesh(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The metrics of one mesh, and a table of them."""
    if args.samples < 100 or args.dense < 1 or args.mask_grow < 0:
        raise InputError(
            f"expected --samples at least 100, --dense at least 1, --mask-grow at least 0; got {args.samples}, "
            f"{args.dense} and {args.mask_grow}."
        )
    if args.cull_hidden_pred and args.cameras is None:
        raise InputError("--cull-hidden-pred: needs --cameras, from which it finds what the prediction hides.")
    path = find_mesh(args.pred)
    require_mesh_files(path, *args.gt)
    moved_by = None if args.pred_transform is None else read_similarity(args.pred_transform)
    if args.cameras is not None:
        hint = "Give the transforms*.json or the .npz of the cameras."
        require_files(args.cameras, hint=hint)
        if args.cameras.suffix not in (".json", ".npz"):
            raise DataError(f"{args.cameras}: expected cameras as .npz (NeuS) or .json (transforms). {hint}")
    log.info("%s: compared with %s", path, ", ".join(map(str, args.gt)))
    from utils.mesh import transform  # only now: what these import takes longer than a wrong path may
    from utils.mesh.files import read_mesh, read_meshes

    predicted, true = read_mesh(path), read_meshes(args.gt)
    from utils.metrics.surface import box_diagonal, compare_meshes  # torch comes with it

    if moved_by is not None:
        predicted = transform(predicted, moved_by)
    culling = None
    if args.cameras is not None:
        from datasets.evaluation.viewpoints import read_viewpoints  # imports the loaders, which few evaluations need

        views = read_viewpoints(args.cameras, args.mask_cull != "none", args.mask_grow)
        culling = Culling(views, args.mask_cull, args.cull_hidden_pred)
    box = None if args.bbox is None else np.reshape(args.bbox, (2, 3))
    how = Comparison(args.samples, args.dense, args.seed, culling, box, per_diagonal=args.unit_scale)
    figures = compare_meshes(predicted, true, how)
    ratio = box_diagonal(predicted) / figures["true_box_diagonal"]
    if not 1.0 / _OTHER_UNITS < ratio < _OTHER_UNITS:
        log.warning(
            "%s: is %.3g times as large as the truth: other units? Then figures mean nothing. See --pred-transform",
            *(path, ratio),
        )
    return {"pred": str(path), "gt": [str(gt) for gt in args.gt], **figures}, mesh_table(figures)


def mesh_table(figures: dict[str, Any]) -> str:
    """The most important metrics of `compare_meshes`, as a table."""
    lengths = [[f"in {figures['units']}", "mean", "median", "95 %"]]
    for name, what in (("accuracy", "accuracy (pred to gt)"), ("completeness", "completeness (gt to pred)")):
        lengths.append([what, *(f"{figures[name + part]:.4g}" for part in ("", "_median", "_p95"))])
    lengths += [["chamfer", f"{figures['chamfer']:.4g}"], ["noise floor", f"{figures['noise_floor']:.4g}"]]
    lengths.append(["chamfer in 1/1000 of the diagonal", f"{figures['chamfer_permille']:.4g}"])
    sampling = f"{figures['samples']} points on each mesh, measured to {figures['dense']} times as many; seed "
    sampling += f"{figures['seed']}; {'parts are culled' if figures['culled'] else 'the whole meshes'}"
    shares = [["within", "F-score", "precision", "recall"]]
    for name, share in SHARES.items():
        parts = (f"{figures[f'{part}_{name}']:.4f}" for part in ("fscore", "precision", "recall"))
        shares.append([f"{share:.1%} of the diagonal", *parts])
    shares.append(["normal consistency", f"{figures['normal_consistency']:.4f}"])
    shares += [[name.replace("_", " "), f"{value:.4g}"] for name, value in figures.get("visibility", {}).items()]
    meshes = figures["predicted_mesh"], figures["true_mesh"]
    counts = [["", "pred", "gt"]]
    counts += [[name, *(str(mesh[name]) for mesh in meshes)] for name in ("faces", "components", "watertight", "holes")]
    counts.append(["length of the holes", *(f"{sum(mesh['hole_lengths']):.4g}" for mesh in meshes)])
    return "\n\n".join([*map(format_table, (lengths, shares, counts)), f"sampling: {sampling}"])


def read_similarity(path: Path) -> np.ndarray:
    """(4, 4) similarity of a .json or .npy file, or the scale_mat_0 of NeuS cameras. Raises DataError."""
    require_files(path, hint="Give a file with a 4x4 matrix.")
    try:
        if path.suffix == ".json":
            found = json.loads(path.read_text(encoding="utf-8"))
            found = found.get("transform_matrix", found.get("matrix")) if isinstance(found, dict) else found
        else:
            if path.suffix not in (".npy", ".npz"):
                raise ValueError(f"a file named {path.suffix or 'without an ending'}")
            found = np.load(path, allow_pickle=False)
            found = found if isinstance(found, np.ndarray) else found["scale_mat_0"]
        matrix = np.array(found, np.float64)
    except (OSError, ValueError, TypeError, KeyError, EOFError) as error:
        raise DataError(
            f"{path}: expected a 4x4 matrix as .json or .npy, or scale_mat_0 in .npz, got {error}."
        ) from error
    scales = np.linalg.svd(matrix[:3, :3], compute_uv=False) if matrix.shape == (4, 4) else np.zeros(3)
    if not np.isfinite(matrix).all() or not 0.0 < scales[0] <= 1.0001 * scales[-1]:
        raise DataError(f"{path}: expected a 4x4 similarity: rotation, one scale, translation; got {matrix.tolist()}.")
    return matrix


def evaluate_dtu(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The metrics of one or several scans and their means, and a table of them."""
    if (args.pred is None) != (args.scan is None) or (args.pred is None) == (args.runs is None):
        raise InputError("dtu: give --pred MESH --scan N, or --runs N=MESH for several scans.")
    runs = read_runs(args.runs) if args.runs else {args.scan: args.pred}
    meshes, scans = {number: find_mesh(path) for number, path in runs.items()}, {}
    require_mesh_files(*meshes.values())
    if not args.gt.is_dir():
        raise InputError(
            f"--gt {args.gt}: no such folder.{nearby(args.gt)} Give the one that holds Points and ObsMask."
        )
    if lacks := [name for name in ("Points", "ObsMask") if not (args.gt / name).is_dir()]:
        raise DataError(f"--gt {args.gt}: has no {' and no '.join(lacks)}. Give the folder that holds both.")
    log.info("%d scans: compared with those of %s", len(meshes), args.gt)
    from datasets.evaluation.dtu_truth import read_scan  # only now, as above
    from utils.mesh.files import read_mesh
    from utils.metrics.dtu import score_dtu

    for number_of, mesh in meshes.items():
        scans[number_of] = {"pred": str(mesh), **score_dtu(read_mesh(mesh), read_scan(args.gt, number_of), args.seed)}
    names = "accuracy", "completeness", "overall"
    mean = {name: float(np.mean([figures[name] for figures in scans.values()])) for name in names}
    rows = [["scan", "accuracy (mm)", "completeness (mm)", "overall (mm)"]]
    for scan, figures in [*scans.items(), ("mean", mean)]:
        rows.append([str(scan), *(f"{figures[name]:.3f}" for name in names)])
    return {"scans": scans, "mean": mean}, format_table(rows)


def read_runs(items: Sequence[str]) -> dict[int, Path]:
    """The mesh, or the folder of a run, of each scan number, from arguments N=PATH. Raises InputError."""
    found = {}
    for item in items:
        scan, _, path = item.partition("=")
        if not scan.isdigit() or not path or int(scan) in found:
            raise InputError(f"--runs {item}: expected N=MESH with each scan number once, such as 24=exp/neus-dtu/a@b.")
        found[int(scan)] = typed_path(path)
    return found


def evaluate_images(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The metrics of each pair of images and their means, and a table of them."""
    from datasets.evaluation.image_pairs import pair_images, read_pair

    pairs, background = pair_images(args.pred, args.gt), {"white": 1.0, "black": 0.0}[args.background]
    log.info("%s: %d images compared with those of %s", args.pred, len(pairs), args.gt)
    import torch  # only now, as above

    from systems.training.evaluation import image_metrics
    from utils.metrics.images import find_lpips

    lpips, images = find_lpips(args.lpips_net), {}
    for paths in pairs:
        pair = read_pair(*paths, background)
        images[paths[0].name] = image_metrics(*map(torch.from_numpy, pair)) | ({"lpips": lpips(*pair)} if lpips else {})
    names = list(next(iter(images.values())))
    mean = {name: float(np.mean([figures[name] for figures in images.values()])) for name in names}
    rows = [["image", *names]]
    for image, figures in [*images.items(), ("mean", mean)]:
        rows.append([image, *(f"{figures[name]:.4g}" for name in names)])
    report = {"pred": str(args.pred), "gt": str(args.gt), "images": images, "mean": mean}
    return report | ({"lpips_net": args.lpips_net} if lpips else {}), format_table(rows)


def _finite(value: Any) -> Any:
    """The value with None for numbers that JSON cannot hold, such as the infinite PSNR of equal images."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _add_kind(kinds: Any, common: PathParser, name: str, what: str, words: str) -> PathParser:
    """The parser of a kind of evaluation: it measures `what`, for example with these words behind it."""
    doc = f"Measures {what}.\n\nExample: python scripts/evaluate.py {name} {words}"
    form = argparse.RawDescriptionHelpFormatter
    return kinds.add_parser(name, parents=[common], help=what, description=doc, formatter_class=form)


def _add_mesh(kinds: Any, common: PathParser) -> None:
    usual, words = Comparison(), "--pred exp/neus-demo/first@DATE --gt load/spot/gt_mesh.ply"
    mesh = _add_kind(kinds, common, "mesh", "a mesh against the true one, in the same frame and unit", words)
    mesh.set_defaults(evaluate=evaluate_mesh)
    add = mesh.add_argument
    add("--pred", type=Path, required=True, metavar="MESH", help="the mesh to measure, or the folder of a run")
    add("--gt", type=Path, required=True, nargs="+", metavar="MESH", help="the true mesh, or its parts")
    add("--unit-scale", action="store_true", help="give distances as shares of the true box's diagonal")
    told = "file with a 4x4 matrix that moves the prediction; of an .npz its scale_mat_0"
    add("--pred-transform", type=Path, metavar="T", help=told)
    add("--bbox", type=float, nargs=6, metavar="X", help="x0 y0 z0 x1 y1 z1: only this box counts")
    told = "transforms*.json or .npz: only what these cameras see counts"
    add("--cameras", type=Path, metavar="FILE", help=told)
    told = "which of the masks must contain a predicted point for it to count (default: any)"
    add("--mask-cull", choices=("any", "all", "none"), default="any", help=told)
    told = "widen the masks by so many pixels (default: 3)"
    add("--mask-grow", type=int, default=3, metavar="PIXELS", help=told)
    told = "leave out what the prediction itself hides from all cameras"
    add("--cull-hidden-pred", action="store_true", help=told)
    told = f"sample points on each mesh (default: {usual.samples})"
    add("--samples", type=int, default=usual.samples, metavar="N", help=told)
    told = f"measure distances to K times as many points (default: {usual.dense})"
    add("--dense", type=int, default=usual.dense, metavar="K", help=told)


def _add_dtu(kinds: Any, common: PathParser) -> None:
    words = "--pred exp/neus-dtu/first@DATE --scan 65 --gt DTU_TRUTH"
    dtu = _add_kind(kinds, common, "dtu", "meshes of DTU scans, by their benchmark's protocol", words)
    dtu.set_defaults(evaluate=evaluate_dtu)
    dtu.add_argument("--pred", type=Path, metavar="MESH", help="mesh in mm, or the folder of a run")
    dtu.add_argument("--scan", type=int, metavar="N", help="number of the scan")
    dtu.add_argument("--runs", nargs="+", metavar="N=MESH", help="several scans, in place of --pred and --scan")
    dtu.add_argument("--gt", type=Path, required=True, metavar="FOLDER", help="folder with Points/stl and ObsMask")


def _add_images(kinds: Any, common: PathParser) -> None:
    words = "--pred renderings/ --gt photographs/"
    images = _add_kind(kinds, common, "images", "renderings against photographs of the same names", words)
    images.set_defaults(evaluate=evaluate_images)
    add = images.add_argument
    add("--pred", type=Path, required=True, metavar="FOLDER", help="folder of renderings")
    add("--gt", type=Path, required=True, metavar="FOLDER", help="folder of photographs")
    told = "what is seen behind transparent pixels (default: white)"
    add("--background", choices=("white", "black"), default="white", help=told)
    add("--lpips-net", choices=("vgg", "alex"), default="vgg", help="network of LPIPS (default: vgg)")


def evaluate_parser() -> argparse.ArgumentParser:
    """The flags of the command line."""
    parser = make_parser(__doc__)
    common = PathParser(add_help=False)
    common.add_argument("--out", metavar="JSON", help="file for all metrics; - prints them instead of the table")
    told = "seed of the random sample points (default: 0)"
    common.add_argument("--seed", type=int, default=Comparison().seed, help=told)
    common.add_argument("--verbose", action="store_true", help="print tracebacks with errors")
    kinds = parser.add_subparsers(dest="kind", required=True)
    for add in (_add_mesh, _add_dtu, _add_images):
        add(kinds, common)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for bad input."""
    args = evaluate_parser().parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    log.setLevel(logging.INFO)
    return exit_code_of(lambda: evaluate(args), args.verbose)


def evaluate(args: argparse.Namespace) -> None:
    """Measures, and prints or writes the metrics. Raises InputError."""
    if args.out is not None and typed_path(args.out).is_dir():
        raise InputError(f"--out {args.out}: is a folder. Give the name of a file, such as {args.out}/metrics.json.")
    if args.out not in (None, "-"):
        require_place(typed_path(args.out).parent, f"--out {args.out}")
    report, text = args.evaluate(args)
    content = json.dumps(_finite(report), indent=2, allow_nan=False)
    print(content if args.out == "-" else text)
    if args.out not in (None, "-"):
        with replacing(typed_path(args.out)) as temporary:
            temporary.write_text(content + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
