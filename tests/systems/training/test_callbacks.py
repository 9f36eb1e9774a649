"""Training time and random numbers continue from a checkpoint, also from one of an earlier version."""

import random

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.call import _call_callbacks_load_state_dict

from systems.training.callbacks import Doubt, RandomState, TrainingClock


def draw() -> list[float]:
    return [random.random(), float(np.random.rand()), float(np.random.randn()), float(torch.rand(()))]


def test_random_numbers_go_on_after_a_checkpoint(tmp_path) -> None:
    np.random.randn()  # of a pair, of which the second waits
    torch.save(RandomState().state_dict(), tmp_path / "state")
    expected = draw()
    resumed = RandomState()
    resumed.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    torch.rand(3)  # what prepares the first step
    resumed.on_train_batch_start()
    assert draw() == expected
    resumed.on_train_batch_start()
    assert draw() != expected


def test_checkpoints_of_earlier_versions_name_the_states_by_their_keys() -> None:
    clock, generators = TrainingClock(), RandomState()
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, callbacks=[clock, generators], accelerator="cpu")
    states = {"TrainingClock": {"seconds": 12.5}, "RandomState": RandomState().state_dict()}
    expected = draw()
    _call_callbacks_load_state_dict(trainer, {"callbacks": states})
    assert clock.elapsed() == 12.5
    generators.on_train_batch_start()
    assert draw() == expected


class Known:
    """In place of `EarlyScenes.doubt`: known from the third question on."""

    def __init__(self) -> None:
        self.asked: list[bool] = []

    def say(self, wait: bool) -> bool:
        self.asked.append(wait)
        return wait or len(self.asked) >= 3


def test_a_doubt_is_asked_for_until_it_has_been_said_and_waited_for_at_the_end() -> None:
    known, early = Known(), Known()
    doubt, late = Doubt(known.say), Doubt(early.say)
    for _ in range(5):
        doubt.on_train_batch_end()
    doubt.on_train_end()
    assert known.asked == [False, False, False]
    late.on_train_batch_end()
    late.on_train_end()
    assert early.asked == [False, True]
