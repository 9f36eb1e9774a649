"""What Lightning's loop spends on a step."""

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
