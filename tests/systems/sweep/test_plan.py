"""SWEEP.yaml becomes scenes x variants x seeds with checked experiments, or one line that says what is wrong."""

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from small_sweep import TEXT, tasks_of, write_sweep

from systems.sweep.plan import make_tasks, read_sweep
from utils.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        tasks_of(path, *overrides)
    return str(error.value)


def test_scenes_by_variants(tmp_path):
    tasks = tasks_of(write_sweep(tmp_path), "trainer.log_every_n_steps=7", "tag={scene}")
    assert list(tasks) == ["cow-plain", "cow-wide", "pig-plain", "pig-wide"]
    task = tasks["pig-wide"]
    assert (task.scene, task.variant, task.seed) == ("pig", "wide", None)
    assert task.run.path == tmp_path / "exp" / "pair" / "pig-wide"
    experiment = task.experiment
    assert (experiment.name, experiment.trial_name) == ("pair", "pig-wide")  # of these launch.py makes the folder
    assert experiment.dataset.root_dir == str(tmp_path / "data" / "pig")
    assert (experiment.model.radius, tasks["pig-plain"].experiment.model.radius) == (1.3, 1.1)
    assert (experiment.trainer.max_steps, experiment.trainer.log_every_n_steps, experiment.tag) == (200, 7, "pig")


def test_seeds_and_a_config_of_a_variant(tmp_path):
    more = "  nerf: {config: [configs/nerf-blender.yaml, configs/quality/draft.yaml], overrides: {dataset.scene: x}}\n"
    tasks = tasks_of(write_sweep(tmp_path, f"{more}seeds: [3, 4]\n"))
    assert len(tasks) == 2 * 3 * 2
    assert tasks["cow-plain-seed4"].experiment.seed == 4
    assert tasks["cow-nerf-seed3"].configs == ("configs/nerf-blender.yaml", "configs/quality/draft.yaml")


def test_one_variant_adds_nothing_to_names_and_scenes_have_keys_of_their_own(tmp_path):
    text = "name: a\nconfig: configs/neus-demo.yaml\nscenes:\n  cow: {model: {radius: 1.2}}\n  pig:\n"
    tasks = tasks_of(write_sweep(tmp_path, text=text))
    assert {name: task.experiment.model.radius for name, task in tasks.items()} == {"cow": 1.2, "pig": 1.1}


def test_scenes_have_configs_of_their_own_and_presets_come_behind_them(tmp_path):
    scenes = "scenes:\n  cow: {config: configs/neus-blender.yaml, dataset.scene: x, system.warmup_steps: 50}\n  pig:\n"
    text = TEXT.replace("scenes: [cow, pig]\n", scenes)
    text = text.replace("plain: {}", "plain: {}\n  draft: {presets: [configs/quality/draft.yaml]}")
    configs = {name: task.configs for name, task in tasks_of(write_sweep(tmp_path, text=text)).items()}
    assert configs["cow-plain"] == ("configs/neus-blender.yaml",)
    assert configs["cow-draft"] == ("configs/neus-blender.yaml", "configs/quality/draft.yaml")
    assert configs["pig-draft"] == ("configs/neus-demo.yaml", "configs/quality/draft.yaml")
    text = text.replace("config: configs/neus-blender.yaml,", "config: {a: 1},")
    assert "scenes.cow.config: expected" in refusal(write_sweep(tmp_path, text=text))


@pytest.mark.parametrize(
    ("value", "read"),
    [("'24'", "24"), ("a b", "a b"), ("'null'", "null"), ("'{scene}_b'", "cow_b"), ("'[1'", "[1"), ("'a=b'", "a=b")],
)
def test_texts_arrive_as_they_were_written(tmp_path, value, read):
    text = f"name: a\nconfig: configs/neus-demo.yaml\nscenes: [cow]\noverrides: {{dataset.root_dir: {value}}}\n"
    assert tasks_of(write_sweep(tmp_path, text=text))["cow"].experiment.dataset.root_dir == read


def test_values_are_computed_in_the_config_of_the_task(tmp_path):
    tasks = tasks_of(
        write_sweep(tmp_path, "  long: {overrides: {trainer.val_check_interval: '${trainer.max_steps}'}}\n")
    )
    assert tasks["cow-long"].experiment.trainer.val_check_interval == 200
    words = [word for word in tasks["cow-long"].overrides if "interval" in word]
    assert words == ["trainer.val_check_interval=${trainer.max_steps}"]
    assert OmegaConf.to_container(OmegaConf.from_dotlist(words), resolve=False)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("scenes: [cow, pig]", "scnes: [cow]", "sweep.yaml:4: scnes: unknown key. Did you mean 'scenes'?"),
        ("scenes: [cow, pig]", "scenes: 3", "sweep.yaml:4: scenes: expected a list of names, or a block"),
        ("scenes: [cow, pig]", "scenes: []", "sweep.yaml:4: scenes: expected at least one scene, got none"),
        ("scenes: [cow, pig]", "scenes: [cow, cow]", "sweep.yaml:4: scenes: expected each scene once, got cow twice"),
        ("scenes: [cow, pig]", "scenes: [../cow]", "sweep.yaml:4: scenes: '../cow': expected letters, digits"),
        ("name: pair\n", "", "name: missing"),
        ("name: pair", "name: a/b", "sweep.yaml:2: name: 'a/b': expected letters, digits"),
        ("wide: {overrides", "wide: {override", "variants.wide.override: unknown key. Did you mean 'overrides'?"),
        ("{model.radius: 1.3}", "{trial_name: x}", "trial_name: the sweep sets this key"),
        ("{model.radius: 1.3}", "{model.radios: 1.3}", "cow-wide: command line: model.radios: unknown key."),
        ("{model.radius: 1.3}", "[1]", "variants.wide.overrides: expected a block of keys"),
        ("{model.radius: 1.3}", "{}", "cow-plain and cow-wide have the same settings."),
        ("{scene}", "x", "cow-plain and pig-plain have the same settings. Scenes differ by {scene}"),
        ("{scene}", "{scnee}", "unknown placeholder {scnee}; the only one is {scene}."),
        ("[cow, pig]", "[cow, cow-wide]", None),
        ("[cow, pig]\n", "[cow, cow-plain]\nseeds: []\n", "seeds: expected at least one, got none"),
        ("neus-demo", "neus-dmo", "configs/neus-dmo.yaml: no such config file."),
    ],
)
def test_what_is_wrong_is_told(tmp_path, old, new, expected):
    assert old in TEXT
    path = write_sweep(tmp_path, text=TEXT.replace(old, new))
    if expected is None:
        assert len(tasks_of(path)) == 4
    else:
        assert expected in refusal(path)


def test_two_tasks_never_share_a_folder(tmp_path):
    text = TEXT.replace("[cow, pig]", "[cow-wide, cow]").replace("plain: {}", "default: {}")
    assert "would share the folder cow-wide" in refusal(write_sweep(tmp_path, text=text))


def test_what_the_command_line_gets_wrong_is_told(tmp_path):
    assert "cow-plain: command line: 'x': expected key=value" in refusal(write_sweep(tmp_path), "x")


@pytest.mark.parametrize(
    ("name", "num_scenes", "num_variants"), [("nerf_synthetic", 8, 2), ("dtu", 15, 1), ("levers", 1, 15)]
)
def test_shipped_sweeps(monkeypatch, tmp_path, name, num_scenes, num_variants):
    monkeypatch.chdir(ROOT)
    tasks = make_tasks(read_sweep(Path(f"configs/sweeps/{name}.yaml")), [], tmp_path)
    assert len(tasks) == num_scenes * num_variants
    folders = {task.experiment.dataset.root_dir for task in tasks}
    assert len(folders) == num_scenes
    assert all(task.scene in Path(task.experiment.dataset.root_dir).name for task in tasks)


def test_the_documented_file_is_one(tmp_path):
    (text,) = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs/sweeps.md").read_text(), re.MULTILINE | re.DOTALL)
    tasks = tasks_of(write_sweep(tmp_path, text=text))
    assert len(tasks) == 2 * 3 * 3
    assert tasks["lego-wide-seed2"].evaluate == ("mesh", "--gt", "truth/lego.ply")


@pytest.mark.parametrize("text", ["007", "1e3", "on", "2024-01-02", "1_000", "0x10", "1.0", "'a b'", '"01"'])
def test_text_is_kept_as_it_is_written(tmp_path, text):
    kept = text.strip("'\"")
    keys = f"{{dataset: {{root_dir: {text}}}, dataset.scene: {text}, seed: 0x10}}"
    sweep = (
        f"name: s\nconfig: configs/neus-demo.yaml\nscenes:\n  a: &a {keys}\n"
        f"  b: {{<<: *a, dataset.gt_mesh: [{text}]}}\n"
        f"overrides: {{tag: t{kept.replace(' ', '')}, trainer.max_steps: 1_000}}\nevaluate: [dtu, --scan, {text}]\n"
    )
    tasks = tasks_of(write_sweep(tmp_path, text=sweep))
    for task in tasks.values():
        experiment = task.experiment
        assert (experiment.dataset.root_dir, experiment.dataset.scene) == (kept, kept)
        assert (experiment.seed, experiment.trainer.max_steps) == (16, 1000)
        assert task.evaluate == ("dtu", "--scan", kept)
    assert tasks["b"].experiment.dataset.gt_mesh == (kept,)


def test_names_are_kept_as_they_are_written(tmp_path):
    text = "name: 01\nconfig: configs/neus-demo.yaml\nscenes: [007, 1e3, on]\n"
    text += "overrides: {dataset.scene: '{scene}', tag: 010}\n"
    tasks = tasks_of(write_sweep(tmp_path, text=f"{text}variants: {{off: {{}}, 0x1: {{overrides: {{seed: 3}}}}}}\n"))
    assert list(tasks) == ["007-off", "007-0x1", "1e3-off", "1e3-0x1", "on-off", "on-0x1"]
    assert [task.experiment.dataset.scene for task in tasks.values()][::2] == ["007", "1e3", "on"]
    assert {task.experiment.tag for task in tasks.values()} == {"010"}
    assert {task.run.path.parent.name for task in tasks.values()} == {"01"}


def test_null_of_a_sweep_stays_null(tmp_path):
    text = "name: s\nconfig: configs/neus-demo.yaml\nscenes:\n  a: {dataset.gt_mesh: null, dataset.scene: ~}\n  b:\n"
    dataset = tasks_of(write_sweep(tmp_path, text=text))["a"].experiment.dataset
    assert (dataset.gt_mesh, dataset.scene) == (None, None)
