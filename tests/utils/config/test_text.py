"""The YAML of a plain tree: what OmegaConf would write, and what it reads back."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from systems.configs import read_experiment
from utils.config import schema
from utils.config.text import as_yaml
from utils.registry import ROOT

WORDS = ("1", "1e5", "-.5", "nan", "inf", "1_000", "y", "N", "yes", "off", "null", "~", "true", "0x1f", "a: b", "- a")
TEXTS = (*WORDS, "", " a", "${seed}", "???", "#", "é", "a\nb", "a 'b'", "12:30", "2024-01-01", "w " * 60)


@pytest.mark.parametrize("text", TEXTS)
def test_texts_stay_texts(text: str) -> None:
    tree = {"a": text, "b": [text, {"c": text}]}
    assert as_yaml(tree) == OmegaConf.to_yaml(tree)
    assert OmegaConf.to_container(OmegaConf.create(as_yaml(tree)), resolve=False) == tree


def test_other_values_and_lists_that_occur_twice() -> None:
    twice = [1, 2.5, 1e-9, 1e300]
    tree = {"a": twice, "b": twice, "c": None, "d": {}, "e": [], "f": True, "g": {"h": twice}}
    assert as_yaml(tree) == OmegaConf.to_yaml(tree)
    assert OmegaConf.create(as_yaml(tree)) == tree


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_configs_as_omegaconf_writes_them(path: Path) -> None:
    tree = schema.to_dict(read_experiment([path], ["dataset.root_dir=x", "dataset.scene=y"]))
    assert as_yaml(tree) == OmegaConf.to_yaml(tree)
