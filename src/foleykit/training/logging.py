"""A run's numbers: JSON lines always, TensorBoard events when it is installed."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any


class RunLog:
    """Appends scalars to `folder/log.jsonl`; lines of steps past `first_step`, left by a killed run, are dropped."""

    def __init__(self, folder: Path, *, first_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.jsonl"
        self._drop_after(first_step)
        self.file = self.path.open("a")
        self.writer: Any = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step + 1)

    def _drop_after(self, step: int) -> None:
        if not self.path.exists():
            return
        lines = self.path.read_text().splitlines()
        kept = [line for line in lines if line.endswith("}") and json.loads(line).get("step", 0) <= step]
        self.path.write_text("".join(f"{line}\n" for line in kept))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record `values` of `step`."""
        self.file.write(json.dumps({"step": step, **{key: round(value, 6) for key, value in values.items()}}) + "\n")
        self.file.flush()
        if self.writer is not None:
            for key, value in values.items():
                self.writer.add_scalar(key, value, step)

    def event(self, name: str, values: Mapping[str, float]) -> None:
        """Record something that is not a step."""
        self.file.write(json.dumps({"event": name, "time": round(time.time()), **values}) + "\n")
        self.file.flush()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
        if self.writer is not None:
            self.writer.close()
