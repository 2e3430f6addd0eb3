"""This process among those that train together: alone, or one of the several that torchrun started."""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from torch import nn

from foleykit.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Where this process stands in its group."""

    rank: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process validates, logs and saves for all."""
        return self.rank == 0

    def wait(self) -> None:
        """Return when every process of the group has come this far."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()

    def share(self, module: nn.Module) -> nn.Module:
        """Return `module` with its gradients averaged over the group."""
        if self.count == 1:
            return module
        from accelerate import Accelerator

        shared: nn.Module = Accelerator().prepare_model(module)
        return shared


def join_processes(device: str) -> Processes:
    """Return this process's place in the group that torchrun describes in the environment.

    Raises ConfigError when the group that came together is not of the size asked for.
    """
    asked = int(os.environ.get("WORLD_SIZE", "1"))
    if asked == 1:
        return Processes()
    # Its functions have the group there is as a default: imported once there is one, as a wrapped module does, they
    # would keep it, and its threads, beyond its end.
    import_module("torch.distributed.nn.functional")
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu")
    if state.num_processes != asked:
        raise ConfigError(
            f"{asked} processes were asked for and {state.num_processes} came together; start with torchrun"
        )
    _leave_at_exit()
    return Processes(rank=state.process_index, count=state.num_processes)


@cache
def _leave_at_exit() -> None:
    """Take this process out of its group when it ends; else the threads of the group may outlive it and abort it."""
    from accelerate import PartialState

    atexit.register(PartialState().destroy_process_group)
