"""What differs from defaults, and between configurations, is found with its dotted key."""

from systems.configs import read_experiment
from utils.config.difference import changes, disagreements, flatten
from utils.config.schema import REQUIRED, parse, to_dict


def of_demo(*overrides):
    found = changes(read_experiment(["configs/neus-demo.yaml"], overrides))
    assert len({change.key for change in found}) == len(found)
    return {change.key: (change.value, change.default) for change in found}


def test_changes_are_those_from_the_classes():
    found = of_demo("export.texture=field", "trainer.max_steps=2000", "system.loss.ncc_patch=7")
    assert found["model.name"] == ("neus", REQUIRED)
    assert found["model.radius"] == (1.1, 1.0)
    assert found["export.texture"] == ("field", "none")
    assert found["system.loss.lambda_mask"] == (1.0, REQUIRED)
    assert found["system.loss.ncc_patch"] == (7, 11)
    assert found["system.scheduler.name"] == ("SequentialLR", "ConstantLR")
    assert "trainer.max_steps" not in of_demo("trainer.max_steps=20000")
    assert not {"model.background.name", "system.loss.ncc_rays", "export.formats", "seed"} & found.keys()


def test_another_component_than_the_default_is_a_change():
    found = of_demo("model.background=none")
    assert found["model.background.name"] == ("none", "color")
    assert "model.background" not in found


def test_every_change_can_be_undone():
    """With all changes put back into what is required, the defaults come out: nothing was missed."""
    experiment = read_experiment(
        ["configs/neus-demo.yaml"], ["export.video_fps=7", "model.geometry.mlp_network_config.n_neurons=32"]
    )
    tree = to_dict(experiment)
    for change in changes(experiment):
        *path, last = change.key.split(".")
        node = tree
        for part in path:
            node = node[part]
        if change.default is not REQUIRED and change.key != "system.scheduler.name":
            node[last] = change.default
    again = changes(parse(type(experiment), tree))
    assert all(change.default is REQUIRED or change.key == "system.scheduler.name" for change in again)


def test_trees_are_flattened_and_compared():
    one, other = {"a": {"b": 1, "c": [1, 2]}, "d": {}}, {"a": {"b": 1, "c": [1]}, "e": None}
    assert flatten(one) == {"a.b": 1, "a.c": [1, 2], "d": {}}
    assert disagreements([one, one]) == {}
    assert disagreements([one, other]) == {"a.c": [[1, 2], [1]], "d": [{}, REQUIRED], "e": [REQUIRED, None]}
