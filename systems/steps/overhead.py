"""What Lightning's loop need not spend on a step, of which a GPU does a thousand in a second."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.profilers import PassThroughProfiler

_NOTHING = nullcontext()


class Unmeasured(PassThroughProfiler):
    """Measures nothing, as Lightning's own, but makes no generator for each of the 36 actions of a step."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:
        """A block in which nothing is measured."""
        return _NOTHING


class LightModule(pl.LightningModule):
    """A module on which Lightning notes the hook that it calls, forty times a step, as on any other object."""

    def __setattr__(self, name: str, value: Any) -> None:
        """As of any module, but for that name, which is none of a parameter or a part."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)
