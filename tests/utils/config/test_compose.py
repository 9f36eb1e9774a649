"""YAML files and overrides become one resolved tree; a mistake is told with the file and line that it is made in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from utils.config import compose, resolvers
from utils.config.sources import referred
from utils.errors import ConfigError

Write = Callable[..., list[Path]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes files by name and gives their paths in that order."""

    def write_files(**texts: str) -> list[Path]:
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return [tmp_path / f"{name}.yaml" for name in texts]

    return write_files


def resolve(paths: list[Path], *overrides: str) -> dict[str, Any]:
    return compose.resolve(compose.collect(paths, overrides))


def refused(paths: list[Path], *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(paths, *overrides)
    return str(caught.value)


def test_files_merge_left_to_right_and_the_command_line_comes_last(write: Write) -> None:
    paths = write(a="x: 1\ny: {p: 1, q: 1}\nz: [1, 2]\n", b="x: 2\ny: {q: 2}\nz: [3]\n")
    assert resolve(paths) == {"x": 2, "y": {"p": 1, "q": 2}, "z": [3]}
    assert resolve(paths[::-1]) == {"x": 1, "y": {"p": 1, "q": 1}, "z": [1, 2]}
    assert resolve(paths, "y.q=5", "x=7", "x=8") == {"x": 8, "y": {"p": 1, "q": 5}, "z": [3]}


def test_defaults_come_before_the_file_in_their_order(write: Write) -> None:
    write(
        one="from: one\nb: one\nc: one\n", two="defaults: [deep]\nb: two\nc: two\n", deep="d: deep\nc: deep\nb: deep\n"
    )
    paths = write(leaf="c: leaf\ndefaults: [one, two]\n")
    assert resolve(paths) == {"from": "one", "b": "two", "c": "leaf", "d": "deep"}
    assert [Path(source.name).stem for source in compose.collect(paths)] == ["one", "deep", "two", "leaf"]


def test_defaults_are_sought_beside_the_file_and_then_in_configs(write: Write) -> None:
    paths = write(leaf="defaults: [base/trainer]\ntag: mine\n")
    found = resolve(paths)
    assert (found["tag"], found["trainer"]["max_steps"]) == ("mine", 20000)
    (paths[0].parent / "base").mkdir()
    (paths[0].parent / "base/trainer.yaml").write_text("seed: 3\n")
    assert resolve(paths) == {"seed": 3, "tag": "mine"}


@pytest.mark.parametrize("value", ["one", "", "3", "{a: b}", "???", "${x}", "[1]"])
def test_defaults_are_a_list_of_names(write: Write, value: str) -> None:
    line = refused(write(leaf=f"defaults: {value}\nx: 1\n"))
    assert "leaf.yaml: defaults: expected a list of file names" in line


def test_a_file_of_defaults_that_does_not_exist(write: Write) -> None:
    assert "Did you mean 'base/trainer'?" in refused(write(leaf="defaults: [base/trainr]\n"))


def test_a_computed_default_reads_what_later_files_and_the_command_line_set(write: Write, tmp_path: Path) -> None:
    paths = write(
        leaf="defaults: [one, '${if_masks:${root},${applied},two,null}']\nroot: ???\napplied: true\nb: leaf\n",
        one="a: one\nc: one\n",
        two="a: two\nb: two\n",
    )[:1]
    without = {"a": "one", "b": "leaf", "c": "one", "applied": True, "root": str(tmp_path)}
    assert resolve(paths, f"root={tmp_path}") == without
    (tmp_path / "masks").mkdir()
    assert resolve(paths, f"root={tmp_path}") == without | {"a": "two"}
    assert resolve(paths, f"root={tmp_path}", "a=typed")["a"] == "typed"
    assert resolve(paths, f"root={tmp_path}", "applied=false") == without | {"applied": False}
    assert "root: has no value yet" in refused(paths)


def test_what_needs_a_package_goes_without_and_says_so_once(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    paths = write(
        leaf="export:\n  texture: ${if_installed:no_such_package,views,none}\n  other: ${if_installed:json,1,2}\n"
    )
    with caplog.at_level("INFO"):
        assert resolve(paths) == {"export": {"texture": "none", "other": 1}}
    said = "no_such_package is not installed (pip install no_such_package), so export.texture=none, not views"
    assert caplog.messages == [said]


@pytest.mark.parametrize(
    ("entry", "said"),
    [("${nothing}", "Interpolation key 'nothing' not found"), ("${x}", "to be a file name or null, got 1")],
)
def test_a_default_that_cannot_be_computed(write: Write, entry: str, said: str) -> None:
    line = refused(write(leaf=f"defaults: ['{entry}']\nx: 1\n"))
    assert "leaf.yaml: defaults: " in line
    assert said in line


def test_resolvers_compute(write: Write) -> None:
    text = """
    n: 7
    add: ${add:${n},3}
    sub: ${sub:${n},0.5}
    mul: ${mul:${n},${n}}
    div: ${div:${n},2}
    idiv: ${idiv:${n},2}
    name: run-${basename:/data/scan63}
    equal: ${if_equal:${n},7,yes,no}
    unequal: ${if_equal:${oc.select:absent,color},learned,1,8}
    there: ${existing:/}
    missing: ${existing:/MISSING.md}
    """
    expected = {"n": 7, "add": 10, "sub": 6.5, "mul": 49, "div": 3.5, "idiv": 3, "name": "run-scan63"}
    expected |= {"there": "/", "missing": None, "equal": "yes", "unequal": 8}
    assert resolve(write(a=text)) == expected


@pytest.mark.parametrize(("factor", "steps"), [(0.1, 1), (0.1, 19500), (0.5, 100), (1.0, 7)])
def test_the_decay_rate_comes_to_its_factor(factor: float, steps: int) -> None:
    assert resolvers.calc_exp_lr_decay_rate(factor, steps) ** steps == pytest.approx(factor)


def test_a_broken_interpolation_is_told_with_file_and_line(write: Write) -> None:
    paths = write(a="x: 1\nmodel:\n  radius: 2\n  half: ${div:${model.radius},0}\n")
    line = refused(paths)
    assert line.startswith(f"{paths[0]}:4: model.half: ")
    assert "division by zero" in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x: ${y}\n", ":1: x: cannot be resolved: Interpolation key 'y' not found"),
        ("x: ${nope:3}\n", ":1: x: cannot be resolved: Unsupported interpolation type nope"),
        ("x: ${add:3}\n", ":1: x: cannot be resolved: add expected 2 arguments, got 1"),
        ("x: [0, '${add:a,b}']\n", ":1: x[1]: cannot be resolved: expected a number, got 'a'"),
        ("x: ${y}\ny: ${x}\n", "Recursive interpolation"),
        ("x:\n  y: ???\n", ":2: x.y: has no value yet (???). Give it as x.y=VALUE."),
    ],
)
def test_broken_values(write: Write, text: str, said: str) -> None:
    assert said in refused(write(a=text))


@pytest.mark.parametrize("value", ["many", "true", "null", "[1]", ".inf", "'3'"])
@pytest.mark.parametrize("expression", ["${sub:${steps},1}", "${mul:2,${sub:${alias},1}}", "${mul:${other},3}"])
def test_no_number_is_told_where_it_stands_not_where_it_is_computed_with(
    write: Write, expression: str, value: str
) -> None:
    paths = write(
        a=f"list:\n  - late: {expression}\nother: ${{idiv:${{alias}},2}}\nalias: ${{steps}}\nsteps: 9\n",
        b=f"tag: x\nsteps: {value}\n",
    )
    assert resolve(paths[:1])["list"]
    line = refused(paths)
    assert line.startswith(f"{paths[1]}:2: steps: expected a number, got ")
    assert line.endswith("list[0].late is computed from it.")


def test_a_list_does_not_merge_with_a_block(write: Write) -> None:
    paths = write(a="x:\n  y: [{z: 1}]\n")
    assert refused(paths, "x.y[0].z=2").startswith("command line: x.y: a list and a block of keys cannot be merged.")
    paths += write(b="x:\n  y:\n    z: 1\n")
    assert refused(paths).startswith(f"{paths[1]}:2: x.y: ")


def test_origin_is_the_last_place_that_sets_the_key(write: Write) -> None:
    paths = write(a="x: 1\nblock:\n  y: 1\n  z: [1,\n    2]\n  w: 1\n", b="# a comment\nblock: {y: 2}\n")
    sources = compose.collect(paths, ["x=5"])
    origins = {key: compose.origin(sources, key) for key in ("x", "block", "block.y", "block.z[1]", "block.v", "v", "")}
    assert origins == {
        "x": "command line: ",
        "block": f"{paths[1]}:2: ",
        "block.y": f"{paths[1]}:2: ",
        "block.z[1]": f"{paths[0]}:5: ",
        "block.v": "",
        "v": "",
        "": "",
    }


def test_origin_of_a_reference_names_both_places(write: Write) -> None:
    paths = write(a="steps: 3\n\nevery: ${steps}\nloop: ${pool}\npool: ${loop}\nlost: ${gone}\nsum: ${add:1,2}\n")
    sources = compose.collect(paths, ["steps=1.5"])
    assert compose.origin(sources, "every") == f"command line: steps, read at {paths[0]}:3: "
    keys = ("every", "steps", "loop", "lost", "sum", "none")
    assert [referred(sources, key) for key in keys] == ["steps", "steps", "pool", "lost", "sum", "none"]
    assert compose.origin(sources, "loop") == f"{paths[0]}:5: pool, read at {paths[0]}:4: "


@pytest.mark.parametrize("text", ["block: 3\n", "block: [3]\n", "x: 1\nblock:\n"])
def test_a_value_in_place_of_a_block_is_the_origin_of_what_it_hides(write: Write, text: str) -> None:
    paths = write(a="block:\n  y: 1\n", b=text)
    line = text[: text.index("block")].count("\n") + 1
    assert compose.origin(compose.collect(paths), "block.y") == f"{paths[1]}:{line}: "


def test_origin_follows_anchors_as_far_as_they_are_written(write: Write) -> None:
    paths = write(a="base: &base\n  y: 1\nblock:\n  <<: *base\n  z: 1\nsame: *base\n")
    sources = compose.collect(paths)
    lines = [compose.origin(sources, key) for key in ("block.y", "block.z", "same.y")]
    assert lines == [f"{paths[0]}:{line}: " for line in (3, 5, 2)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x: 1\ny: [1\nz: 2\n", "line 3"),
        ("x: 1\n\ty: 2\n", "tabs"),
        ("x: 1\nx: 2\n", "line 2"),
        ("- x\n", "block of keys"),
        ("x: \xff\n", "Save it as UTF-8"),
    ],
)
def test_a_file_that_is_not_yaml(write: Write, text: str, said: str) -> None:
    paths = write(a="")
    paths[0].write_bytes(text.encode("latin-1"))
    line = refused(paths)
    assert line.startswith(f"{paths[0]}:")
    assert said in line


def test_an_empty_file_says_nothing(write: Write) -> None:
    assert resolve(write(a="", b="x: 1\n")) == {"x": 1}


def test_a_file_that_is_not_there(write: Write) -> None:
    paths = write(neus="x: 1\n")
    assert "Did you mean 'neus.yaml'?" in refused([paths[0].with_name("neuss.yaml")])
    assert "is a folder" in refused([paths[0].parent])


@pytest.mark.parametrize("override", ["x", "=3", "-x=3", "x=[1", "x=${"])
def test_an_override_that_is_none(write: Write, override: str) -> None:
    assert refused(write(a="x: 1\n"), override).startswith("command line: ")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("010", "octal, 8. Write 10"),
        ("-0100", "octal, -64. Write -100"),
        ("1:30", "read as 90"),
        ("[5, 010]", "octal, 8"),
    ],
)
def test_numbers_that_yaml_takes_for_others_are_refused(write: Write, number: str, told: str) -> None:
    paths = write(one=f"block:\n  key: {number}\n")
    with pytest.raises(ConfigError, match=rf"one\.yaml:2: block\.key: .*{told}"):
        resolve(paths)
    with pytest.raises(ConfigError, match=rf"command line: .*block\.key: .*{told}"):
        resolve(write(one="block: {}"), f"block.key={number}")


def test_numbers_and_text_that_only_look_odd_are_read(write: Write) -> None:
    paths = write(one="a: 007\nb: 0\nc: 0.10\nd: '010'\ne: 2026-01-02 text\nf: 0x10\n")
    assert resolve(paths) == {"a": 7, "b": 0, "c": 0.1, "d": "010", "e": "2026-01-02 text", "f": 16}
    assert compose.resolve(compose.collect(paths, ["d=010"], lambda key: key == "d"))["d"] == "010"


def test_keys_with_points_and_values_for_blocks_are_refused_with_their_file(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"two\.yaml: 'block\.key': keys with points are for the command line"):
        resolve(write(one="block:\n  key: 1\n", two="block.key: 5\n"))
    for text in ("block:\n", "block: 5\n", "block:\n  key:5\n"):
        with pytest.raises(ConfigError, match=r"two\.yaml:1: block: expected a block of keys, got"):
            resolve(write(one="block:\n  key: 1\n", two=text))
    with pytest.raises(ConfigError, match="command line: block: expected a block of keys, got 5"):
        resolve(write(one="block:\n  key: 1\n"), "block=5")


def test_tabs_and_other_codings_are_named(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="spaces, not tabs"):
        resolve(write(one="block:\n\tkey: 5\n"))
    (tmp_path / "two.yaml").write_text("a: 1", encoding="utf-16")
    with pytest.raises(ConfigError, match="Save it as UTF-8"):
        resolve([tmp_path / "two.yaml"])
