"""What pages say is checked against the checkout: commands, links, paths, keys, and messages that they quote."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from utils.errors import InputError

PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_]+")  # `dataset.root_dir=PATH`: for the reader to fill in
FOLDERS = "benchmarks|configs|datasets|docs|models|scripts|systems|tests|utils"
PATH = re.compile(rf"`((?:{FOLDERS})/[\w./{{}},*-]*)`")
SUFFIXES = (".py", ".yaml", ".md", ".json")  # of files, whose names look like keys
KEY = re.compile(r"\b(?:dataset|model|system|trainer|export|checkpoint)(?:\.\w+)+")


def commands(text: str) -> list[list[str]]:
    """The command lines of all ```bash blocks as argument lists; prompts, comments and continuations are resolved."""
    found = []
    for block in re.findall(r"^```(?:bash|sh|shell)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            for part in split(words, ("&&", ";", "|")):
                while part and re.fullmatch(r"[A-Z_]+=.*", part[0]):  # CUDA_VISIBLE_DEVICES=0 python ...
                    part = part[1:]
                found += [part] if part else []
    return found


def split(words: list[str], separators: tuple[str, ...]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word in separators:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def command_problem(words: list[str], root: Path) -> str | None:
    """Why a command cannot work in a checkout at `root`; None when it can or is not ours to judge."""
    program, *args = words
    if program == "make":
        targets = set(re.findall(r"^([\w-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
        unknown = [arg for arg in args if "=" not in arg and not arg.startswith("-") and arg not in targets]
        return f"no make target {unknown[0]}" if unknown else None
    if Path(program).name.startswith("python") and args and args[0].endswith(".py"):
        if not (root / args[0]).is_file():
            return f"no file {args[0]}"
        return launch_problem(args[1:]) if args[0] == "launch.py" else None
    if Path(program).name.startswith("python") and args[:1] == ["-m"] and (root / args[1].split(".")[0]).is_dir():
        files = [args[1].replace(".", "/") + ".py", *(arg for arg in args if arg.endswith(".yaml"))]
        return next((f"no file {file}" for file in files if not (root / file).is_file()), None)
    if program.startswith((".", "scripts/")) and not program.startswith(".venv/") and not (root / program).is_file():
        return f"no file {program}"
    return None


def launch_problem(argv: list[str]) -> str | None:
    """What launch.py itself says to these arguments; it reads the configs but neither data nor a device."""
    launch = importlib.import_module("launch")
    try:
        args = launch.parse_args(argv)
        parts = [part for config in args.config or [] for part in Path(config).with_suffix("").parts]
        if parts and not any(PLACEHOLDER.fullmatch(part) for part in parts):
            launch.load_experiment(args)
    except (InputError, SystemExit) as error:
        return f"launch.py refuses it: {error}"
    return None


def link_problems(text: str, folder: Path) -> list[str]:
    """Relative links and pictures, in Markdown or HTML, that lead nowhere; anchors must match a heading.

    folder: the one that the page lies in."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)[^)]*\)", prose) + re.findall(r"(?:src|href)=[\"']([^\"']+)", prose)
    found = []
    for target in targets:
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        if path and not (folder / path).exists():
            found.append(f"{target}: no such file")
        elif anchor and anchor not in anchors((folder / path).read_text(encoding="utf-8") if path else text):
            found.append(f"{target}: no such heading")
    return found


def anchors(text: str) -> set[str]:
    """What links to the headings of a document may be called."""
    headings = re.findall(r"^#+ +(.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def code_spans(text: str) -> list[str]:
    """What stands between backticks outside of blocks."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", prose)


def path_problems(text: str, root: Path, own: Iterable[str] = ()) -> list[str]:
    """Files and folders of the checkout that a page names in backticks and that are not there.

    own: files that the reader is told to write. Braces name several: `configs/quality/{draft,high}.yaml`."""
    missing = []
    for path in PATH.findall(text):
        for name in expanded(path):
            is_there = any(root.glob(name.rstrip("/"))) if "*" in name else (root / name).exists()
            if not is_there and name not in own:
                missing.append(f"{name}: no such file")
    return missing


def expanded(path: str) -> list[str]:
    """The paths that one with braces stands for."""
    before, brace, rest = path.partition("{")
    if not brace:
        return [path]
    inner, _, after = rest.partition("}")
    return [name for part in inner.split(",") for name in expanded(before + part + after)]


def key_problems(text: str, known: set[str]) -> list[str]:
    """Dotted keys in backticks whose last part no component takes; those of the page's own examples are let pass."""
    known = known | {f"lambda_{name}" for name in re.findall(r'@register\("loss", "(\w+)"', text)}
    keys = {
        key for span in code_spans(text) for key in KEY.findall(span) if not re.search(r"\.(py|yaml|md|json)$", key)
    }
    return [f"{key}: no such key" for key in sorted(keys) if key.split(".")[-1] not in known]


def known_keys(reference: str) -> set[str]:
    """The parts of all keys in the tables of docs/configs.md, and the blocks in which components stand."""
    keys = re.findall(r"^\| `([\w.<>]+)` \|", reference, re.MULTILINE)
    blocks = re.findall(r"^At (`.*?`);", reference, re.MULTILINE)
    parts = {part for key in keys for part in key.split(".")}
    return parts | {part for block in blocks for part in re.findall(r"\w+", block)} | {"name", "loss", "lambda_"}


def quoted_messages(text: str) -> Iterator[str]:
    """What stands in backticks in the first column of the tables of messages."""
    for table in re.findall(r"^\| (?:message|what it says) \|.*\n\|[ -|]+\n((?:\|.*\n)+)", text, re.MULTILINE):
        for row in table.splitlines():
            yield from re.findall(r"`([^`]+)`", row.split(" | ")[0])


def strings_of(root: Path) -> list[str]:
    """All strings in the code that users run, parts of f-strings put together with … in place of their values."""
    found = []
    for name in ("launch.py", "utils", "models", "datasets", "systems", "scripts"):
        path = root / name
        for file in [path] if path.is_file() else path.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
                elif isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                    found.append("".join(parts))
    return found
