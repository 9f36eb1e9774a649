"""Numbers on their way from the device to the log."""

import torch

from systems.steps.readout import Readout


def test_numbers_are_those_of_their_step_and_are_taken_once(device):
    readout, loss = Readout(), torch.tensor(0.5, device=device)
    assert readout.take(wait=True) is None
    readout.send(7, {"loss": loss, "rays": torch.tensor(8192, device=device), "on": torch.tensor(True, device=device)})
    loss.fill_(9.0)  # as the next replay of a graph overwrites it
    assert readout.take(wait=True) == (7, {"loss": 0.5, "rays": 8192.0, "on": 1.0})
    assert readout.take(wait=True) is None


def test_what_is_under_way_makes_room_for_the_next(device):
    readout = Readout()
    for step in (1, 2):
        readout.send(step, {"loss": torch.tensor(float(step), device=device)})
    assert readout.take(wait=True) == (2, {"loss": 2.0})


def test_a_cpu_has_no_queue_to_wait_for():
    readout = Readout()
    readout.send(3, {"loss": torch.tensor(1.0, requires_grad=True)})
    assert readout.take() == (3, {"loss": 1.0})
