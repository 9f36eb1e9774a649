"""Random numbers that nobody seeds by the step go on as they would have."""

import random

import numpy as np
import torch

from systems.training.callbacks import RandomState


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
