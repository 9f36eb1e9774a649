"""Lists the benchmarks: `python -m benchmarks`."""

import ast
from pathlib import Path

HERE = Path(__file__).parent


def commands() -> dict[str, str]:
    """What each command says of itself in the first sentence of its file, by its name: `benchmarks.ops` and so on."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(HERE.rglob("*.py")) if path != Path(__file__)}
    return {
        ".".join(path.relative_to(HERE.parent).with_suffix("").parts): first_sentence(text)
        for path, text in texts.items()
        if 'if __name__ == "__main__":' in text
    }


def first_sentence(text: str) -> str:
    """The first paragraph of a file's docstring as one line, without its full stop."""
    return " ".join(ast.get_docstring(ast.parse(text)).split("\n\n")[0].split()).removesuffix(".")


def main() -> None:
    for name, sentence in commands().items():
        print(f"python -m {name:<33} {sentence}")
    print("Each one has --help. Results: benchmarks/results, read by people in docs/benchmarks.md.")


if __name__ == "__main__":
    main()
