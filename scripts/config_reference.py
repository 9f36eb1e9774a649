"""Writes docs/configs.md, the reference of all keys of an experiment, from the code that reads them.

Example: python scripts/config_reference.py"""

import ast
import inspect
import io
import json
import re
import sys
import textwrap
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
from omegaconf import OmegaConf

from scripts.command_line import exit_code_of, make_parser
from systems import schedules
from systems.configs import Experiment
from systems.loss_config import LossConfig, Weight
from utils import registry
from utils.config import compose, schema
from utils.config.limits import limits_of
from utils.config.schedule import Schedule
from utils.files import replacing

DOCUMENT = registry.ROOT / "docs" / "configs.md"
HEADER = """# Configuration

Written by `python scripts/config_reference.py` from the classes that the YAML is checked against.

Several `--config` files merge left to right, then `key=value` of the command line. At the top of a file,
`defaults: [base/trainer, base/neus]` names files that come before it, sought beside it and in `configs/`; a name may be
computed from keys (see [Arithmetic](#arithmetic)), and none is taken where that comes to null. `???` stands for a value
that must still be given, `${model.radius}` for the value of another key. A key that is not listed here is refused.
`python launch.py --config neus-demo --dump` prints what comes out; `--list` names the files of all components."""
WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text", NoneType: "`null`"}
WORDS |= {
    LossConfig: "[losses](#loss)",
    schedules.SchedulerConfig: "[schedule](#scheduler)",
    Schedule: "number or schedule",
}
RESOLVERS = {  # what it gives, and an example that is computed when the document is written
    "add": ("the sum of two numbers", "${%s:13,3}"),
    "sub": ("their difference", "${%s:20000,500}"),
    "mul": ("their product", "${%s:20000,3}"),
    "div": ("their quotient", "${%s:3,2}"),
    "idiv": ("their quotient, rounded down", "${%s:20000,3}"),
    "if_equal": ("the third where the first two are equal, else the fourth", "${%s:learned,learned,1,8}"),
    "calc_exp_lr_decay_rate": ("the rate per step that makes the factor of 1 in so many steps", "${%s:0.25,2}"),
    "basename": ("the last part of a path, with - for what a name may not hold", "${%s:load/my scan}"),
    "if_masks": (
        "the third where masks of the folder `dataset.root_dir`, in masks/ or mask/ or of `mask_path`, show the object "
        "(`dataset.masks`), and the second, `dataset.apply_mask`, is true, else the fourth",
        "${%s:load/missing,true,base/object-alone,base/whole-scene}",
    ),
    "if_any_of": (
        "the third where the first list holds any of the second, else the fourth",
        "${%s:[ply],[obj,glb],1,2}",
    ),
    "if_installed": (
        "the second where a Python package is installed, else the third",
        "${%s:numpy,views,none}",
    ),
    "count_lightings": ("how many lightings lighting.json in a folder tells of, 0 without one", "${%s:load/missing}"),
    "existing": ("a path where there is something, else `null`", "${%s:load/missing.ply}"),
}


@dataclass(frozen=True)
class KeyRow:
    """One key of a table; all but the key are Markdown."""

    key: str
    expects: str
    default: str = ""
    note: str = ""


def comments(cls: type) -> dict[str, str]:
    """The comment above and behind each field of a dataclass, inherited fields included; those without are left out."""
    notes: dict[str, str] = {}
    for base in reversed([base for base in cls.__mro__ if is_dataclass(base)]):
        source = textwrap.dedent(inspect.getsource(base))
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        lines = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
        alone = {number for number, line in enumerate(source.splitlines(), 1) if line.lstrip().startswith("#")}
        for node in ast.parse(source).body[0].body:
            if isinstance(node, ast.AnnAssign):
                first = node.lineno
                while first - 1 in alone:
                    first -= 1
                own = [lines[number] for number in range(first, node.end_lineno + 1) if number in lines]
                notes |= {node.target.id: " ".join(own)} if own else {}
    return notes


def summary(doc: str | None) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join((doc or "").split("\n\n")[0].split())


def expects(hint: Any) -> str:
    """A type annotation in words for somebody who writes YAML."""
    if limits := limits_of(hint):
        return " ".join([expects(get_args(hint)[0]), *map(str, limits)])
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(map(expects, inner))
    if origin is dict:
        return f"block of {expects(inner[1])}"
    if origin is Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in inner)
    if origin is tuple:
        return f"[{', '.join('…' if part is Ellipsis else expects(part) for part in inner)}]"
    return WORDS[hint]


def rows(cls: type, prefix: str = "", preset: Any = None) -> Iterator[KeyRow]:
    """The keys of a config class; those of nested blocks follow a dot.

    preset: an instance whose values are the defaults, instead of those of the class."""
    hints, notes = get_type_hints(cls, include_extras=True), comments(cls)
    for item in sorted(fields(cls), key=lambda item: item.kw_only):  # options that all have in common come last
        key, hint = prefix + item.name, hints[item.name]
        note = re.sub(r"\bNone\b", "`null`", notes.get(item.name, ""))  # as YAML calls it
        value = schema.default_of(item) if preset is None else getattr(preset, item.name)
        optional = [part for part in get_args(hint) if get_origin(hint) is UnionType and part is not NoneType]
        single = optional[0] if len(optional) == 1 else hint  # of X | None, X
        block = get_args(hint)[1] if get_origin(hint) is dict else single
        if "kind" in item.metadata:
            kind = item.metadata["kind"]
            yield KeyRow(key, f"[{kind}](#{kind})", component_text(kind, value), note)
        elif is_dataclass(block) and block not in WORDS:
            yield KeyRow(key, "block or `null`" if optional else "block", "", note or summary(block.__doc__))
            inner, known = (f"{key}.", value) if block is single else (f"{key}.<name>.", None)
            yield from rows(block, inner, None if known is schema.REQUIRED else known)
        else:
            yield KeyRow(key, expects(hint), default_text(value), note)
    for key, reason in getattr(cls, "UNUSED", {}).items():
        yield KeyRow(prefix + key, "anything", "", f"No effect, taken for the sake of older files: {reason}.")
    for key, retired in getattr(cls, "RETIRED", {}).items():
        neutral = ["anything"] if retired.neutral is None else [f"`{json.dumps(value)}`" for value in retired.neutral]
        yield KeyRow(prefix + key, f"removed; {' or '.join(neutral)} passes", "", f"It was {retired.reason}.")


def link(file: str) -> str:
    """A link to a file of the repository, seen from docs/."""
    return f"[{file}](../{file})"


def default_text(value: Any) -> str:
    """A default as YAML would have it."""
    return "required" if value is schema.REQUIRED else f"`{json.dumps(schema.to_dict(value))}`"


def component_text(kind: str, value: Any) -> str:
    """The default of a field that holds a component: its name, and the keys that differ from its own defaults."""
    if value is schema.REQUIRED or value is None:
        return default_text(value)
    plain = {item.name: schema.default_of(item) for item in fields(value)}
    changed = [item for item in fields(value) if getattr(value, item.name) != plain[item.name]]
    node = {name: inner for name, inner in schema.to_dict(value).items() if name in {item.name for item in changed}}
    return f"`{json.dumps({schema.name_key(kind): registry.name_of(value), **node})}`"


def markdown_table(keys: Iterable[KeyRow]) -> str:
    """A Markdown table of keys."""
    lines = ["| key | expects | default | meaning |", "| --- | --- | --- | --- |"]
    for row in keys:
        cells = [text.replace("|", "\\|") for text in (f"`{row.key}`", row.expects, row.default, row.note)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def keys_of_kinds() -> dict[str, list[str]]:
    """Where in the YAML each kind of component stands, from the outside inwards."""
    keys: dict[str, list[str]] = {}
    waiting: list[tuple[type, str]] = [(Experiment, "")]
    for cls, prefix in waiting:  # grows by the components that a component is made of
        for item in fields(cls):
            if (kind := item.metadata.get("kind")) is None:
                continue
            if kind not in keys:
                inner = f"{prefix}{item.name}."
                waiting += [(registry.find(kind, name).target, inner) for name in registry.names(kind)]
            if prefix + item.name not in keys.setdefault(kind, []):
                keys[kind].append(prefix + item.name)
    return keys


def functions(kind: str) -> dict[str, tuple[str, str]]:
    """(first paragraph of the docstring, file) of each function registered for a kind, none of them imported."""
    registered = {}
    for path in [path for package in registry.PACKAGES for path in (registry.ROOT / package).rglob("*.py")]:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            for call in getattr(node, "decorator_list", ()) if isinstance(node, ast.FunctionDef) else ():
                if isinstance(call, ast.Call) and ast.unparse(call).startswith(f"register({kind!r}, "):
                    name = ast.literal_eval(call.args[1])
                    registered[name] = summary(ast.get_docstring(node)), path.relative_to(registry.ROOT).as_posix()
    return dict(sorted(registered.items()))


def components(kind: str, where: list[str]) -> Iterator[str]:
    """The section of one kind of component."""
    keys = " and ".join(f"`{key}`" for key in where)
    yield f"## {kind}\n\nAt {keys}; `{schema.name_key(kind)}` picks one of these."
    for name in registry.names(kind):
        entry = registry.find(kind, name)
        yield f"### {name}\n\n{summary(entry.target.__doc__)} ({link(entry.file)})"
        keys = list(rows(entry.target))
        yield markdown_table(keys) if keys else "It has no keys."


def losses() -> Iterator[str]:
    """The section of the losses and what they share."""
    yield (
        "## loss\n\nAt `system.loss`. A loss that is absent, or whose weight is 0 at a step, is not computed. A weight "
        "is a number or a schedule, linear between its steps and constant outside: `[start_step, start_value, "
        "end_value, end_step]` or a list of `[step, value]`, such as `[[0, 0.], [1000, 5.e-4], [6000, 2.e-5]]` for a "
        "curvature that warms up and decays."
    )
    weights = [
        KeyRow(f"lambda_{name.replace('-', '_')}", expects(Weight), "off", note)
        for name, (note, _) in functions("loss").items()
    ]
    yield markdown_table([*weights, *(row for row in rows(LossConfig) if not row.key.startswith("weights"))])


def exporters() -> Iterator[str]:
    """The section of the mesh formats."""
    yield "## exporter\n\nNames for the list at `export.formats`."
    lines = [f"- `{name}`: {note} ({link(file)})" for name, (note, file) in functions("exporter").items()]
    yield "\n".join(lines)


def scheduler() -> Iterator[str]:
    """The section of the learning-rate schedules."""
    yield (
        "## scheduler\n\nAt `system.scheduler`; `name` picks one of these, as a factor of the learning rates. Its keys "
        "stand under `args`, those of SequentialLR beside the name. `interval` may be given and is `step`."
    )
    for name, cls in schedules.KINDS.items():
        yield f"### {name}\n\n{summary(cls.__doc__)}"
        yield markdown_table(rows(cls))


def resolvers() -> Iterator[str]:
    """The section of what YAML may compute."""
    yield "## Arithmetic\n\nA value may be computed from others."
    lines = ["| example | value | what it gives |", "| --- | --- | --- |"]
    for name, (note, pattern) in RESOLVERS.items():
        example = OmegaConf.create({"value": pattern % name})
        value = compose.resolve([compose.Source("example", example)])["value"]
        lines.append(f"| `{pattern % name}` | `{'null' if value is None else value}` | {note} |")
    yield "\n".join(lines)


def document() -> str:
    """The text of docs/configs.md."""
    parts = [HEADER, "## Experiment\n\nThe keys at the top of a YAML file.", markdown_table(rows(Experiment))]
    for kind, where in keys_of_kinds().items():
        parts += components(kind, where)
    parts += [*losses(), *scheduler(), *exporters(), *resolvers()]
    return "\n\n".join(parts) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for bad input."""
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, default=DOCUMENT, help="file to write (default: docs/configs.md)")
    args = parser.parse_args(argv)
    return exit_code_of(lambda: write_document(args.out))


def write_document(path: Path) -> None:
    """Writes the reference. Raises OSError if it cannot."""
    with replacing(path) as temporary:
        temporary.write_text(document(), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    sys.exit(main())
