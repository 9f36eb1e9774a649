"""What Lightning's loop spends on a step."""

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import pytorch_lightning as pl
import torch

from systems.steps.overhead import LightModule, Unmeasured


class Line(LightModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.called = torch.nn.Linear(1, 1), []

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.called.append(self._current_fx_name)
        return self.layer(batch).square().mean()

    def on_train_batch_start(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.called.append(self._current_fx_name)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def test_a_light_module_knows_its_parts_and_the_hook_that_is_called() -> None:
    module = Line()
    before = [parameter.clone() for parameter in module.parameters()]
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = pl.Trainer(accelerator="cpu", max_steps=2, profiler=Unmeasured(), **off)
    trainer.fit(module, torch.utils.data.DataLoader(torch.ones(4, 1)))
    assert set(module.called) == {"training_step", "on_train_batch_start"}
    assert len(module.called) == 4
    assert set(module.state_dict()) == {"layer.weight", "layer.bias"}
    assert all(not torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_nothing_is_measured_and_errors_pass() -> None:
    profiler, seen = Unmeasured(), []
    with profiler.profile("one"), profiler.profile("another"):
        seen.append(1)
    try:
        with profiler.profile("one"):
            raise ValueError("told")
    except ValueError as error:
        seen.append(str(error))
    assert seen == [1, "told"]


class Several(Line):
    """Takes steps at once, with an optimiser of its own, as a captured step does."""

    def __init__(self, ends: tuple[int, ...]) -> None:
        super().__init__()
        self.ends, self.run, self.validated = ends, [], []

    def take(self, step: int) -> torch.Tensor:
        self.run.append(step)
        return self.layer(torch.ones(1, 1)).square().mean()

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return self.take_steps(self.take, self.ends)

    def on_validation_start(self) -> None:
        self.validated.append(self.global_step)

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.layer(batch)


class Seen(pl.Callback):
    """The steps after which it is called, and a checkpoint after one of them."""

    def __init__(self, kept: int, path: Path) -> None:
        self.steps, self.kept, self.path = [], kept, path

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: object) -> None:
        self.steps.append(trainer.global_step)
        if trainer.global_step == self.kept:
            trainer.save_checkpoint(self.path)


def trained(module: Several, last: int, seen: Seen, checkpoint: Path | None = None) -> pl.Trainer:
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    ever = {"check_val_every_n_epoch": None, "val_check_interval": 12, "num_sanity_val_steps": 0}
    trainer = pl.Trainer(accelerator="cpu", max_steps=last, callbacks=[seen], **off, **ever)
    endless = torch.utils.data.DataLoader(Endless(), batch_size=None)
    trainer.fit(module, endless, torch.utils.data.DataLoader(torch.ones(1, 1)), ckpt_path=checkpoint)
    return trainer


class Endless(torch.utils.data.IterableDataset):
    def __iter__(self) -> Iterator[torch.Tensor]:
        return repeat(torch.ones(1, 1))


def test_steps_taken_at_once_are_all_run_and_counted_and_callbacks_see_where_they_end(tmp_path: Path) -> None:
    module, seen = Several((12, 27)), Seen(20, tmp_path / "one.ckpt")
    trainer = trained(module, 27, seen)
    assert module.run == list(range(27))
    assert seen.steps == [10, 12, 20, 24, 27]
    assert module.validated == [12, 24]
    assert trainer.global_step == 27 == trainer.fit_loop.total_batch_idx + 1


def test_a_training_goes_on_behind_steps_taken_at_once(tmp_path: Path) -> None:
    kept = tmp_path / "one.ckpt"
    trained(Several((12, 27)), 27, Seen(20, kept))
    again, seen = Several((12, 40)), Seen(-1, kept)
    again.at_once = 5
    trained(again, 40, seen, kept)
    assert again.run == list(range(20, 40))
    assert seen.steps == [24, 25, 30, 35, 36, 40]
    assert again.validated == [24, 36]


def test_a_module_whose_steps_lightning_completes_takes_them_one_by_one(tmp_path: Path) -> None:
    module, seen = Several((1,)), Seen(-1, tmp_path)
    trained(module, 5, seen)
    assert module.run == list(range(5))
    assert seen.steps == [1, 2, 3, 4, 5]
