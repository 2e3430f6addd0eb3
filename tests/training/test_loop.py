"""The loop learns, and a killed run goes on as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from foleykit.core.checkpoint import load_tensors
from foleykit.core.errors import ConfigError
from foleykit.core.types import Losses
from foleykit.training.loop import Run, TrainingConfig, fit, step_generator


class LineObjective(nn.Module):
    """Fits y = 3 x + 1 under noise drawn from the step's generator."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Linear(1, 1)

    def forward(self, batch: Tensor, generator: torch.Generator) -> Losses:
        target = 3 * batch + 1 + 0.01 * torch.randn(batch.shape, generator=generator)
        total = (self.model(batch) - target).square().mean()
        return Losses(total=total, parts={})


def line_batch(step: int) -> Tensor:
    return torch.randn(16, 1, generator=step_generator(7, step))


def line_run(output: Path, num_steps: int = 40, **changes: int) -> Run[Tensor]:
    config = TrainingConfig(num_steps=num_steps, learning_rate=0.1, warmup_steps=1, checkpoint_every=10, **changes)
    return Run(objective=LineObjective(), batches=line_batch, config=config, output=output)


def losses_of(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def threads_of_a_group() -> str:
    """Return the names of this process's threads that serve a group; any that outlive Python may abort it."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return " ".join(name for name in names if "gloo" in name)


def test_two_processes_take_two_batches_a_step_and_follow_the_mean_gradient(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import atexit, os, sys
            sys.path.insert(0, {str(Path(__file__).parent)!r})
            from pathlib import Path
            from test_loop import line_run, threads_of_a_group
            from foleykit.training.loop import fit

            output = Path(sys.argv[1])
            # What is registered first runs last, when the group has been left.
            atexit.register(lambda: (output / f"left-{{os.environ['RANK']}}").write_text(threads_of_a_group()))
            fit(line_run(output, num_steps=20))
            """
        )
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(tmp_path / "two")], check=True, env=environment, timeout=120)
    assert [(tmp_path / "two" / f"left-{rank}").read_text() for rank in (0, 1)] == ["", ""]

    class BothHalves(LineObjective):
        """What two processes do in one step, in one."""

        def forward(self, batch: Tensor, generator: torch.Generator) -> Losses:
            first = int(batch)
            halves = [
                super(BothHalves, self).forward(line_batch(number), step_generator(0, number)).total
                for number in (first, first + 1)
            ]
            return Losses(total=torch.stack(halves).mean(), parts={})

    alone = line_run(tmp_path / "one", num_steps=20)
    fit(
        Run(
            objective=BothHalves(),
            batches=lambda step: torch.tensor(2 * step),
            config=alone.config,
            output=alone.output,
        )
    )
    one, two = (load_tensors(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(two[name], one[name], atol=1e-4, rtol=1e-4)


def test_the_line_is_found(tmp_path: Path) -> None:
    model = fit(line_run(tmp_path, num_steps=300))
    assert isinstance(model, nn.Linear)
    assert model.weight.item() == pytest.approx(3, abs=0.05) and model.bias.item() == pytest.approx(1, abs=0.05)


def test_an_interrupted_run_continues_with_the_same_losses_and_weights(tmp_path: Path) -> None:
    fit(line_run(tmp_path / "whole"))
    interrupted = line_run(tmp_path / "parts")

    def stop_at(step: int, loss: float) -> None:
        if step == 27:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(
            Run(
                objective=LineObjective(),
                batches=line_batch,
                config=interrupted.config,
                output=interrupted.output,
                on_step=stop_at,
            )
        )
    fit(line_run(tmp_path / "parts"))
    assert losses_of(tmp_path / "parts") == losses_of(tmp_path / "whole")
    whole, parts = (load_tensors(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_kill_nine_and_restart_gives_the_same_loss_curve(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys, time
            sys.path.insert(0, {str(Path(__file__).parent)!r})
            from pathlib import Path
            from test_loop import LineObjective, line_batch, line_run
            from foleykit.training.loop import Run, fit
            run = line_run(Path(sys.argv[1]))
            slow = lambda step, loss: time.sleep(0.05)
            fit(Run(objective=run.objective, batches=line_batch, config=run.config, output=run.output, on_step=slow))
            """
        )
    )
    output = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, str(script), str(output)])
    deadline = time.monotonic() + 60
    while not (output / "checkpoint" / "state.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (output / "model.safetensors").exists()
    subprocess.run([sys.executable, str(script), str(output)], check=True)
    fit(line_run(tmp_path / "whole"))
    assert losses_of(output) == losses_of(tmp_path / "whole")


def test_the_rate_warms_up_stays_and_falls_to_zero() -> None:
    config = TrainingConfig(num_steps=100, learning_rate=1.0, warmup_steps=10, decay_fraction=0.2)
    rates = [config.learning_rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[50] == 1.0 and rates[99] == pytest.approx(0.05)


def test_a_run_without_steps_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs steps"):
        TrainingConfig(num_steps=0)


def test_other_schedules_rise_to_the_peak_and_fall_as_named() -> None:
    cosine, root = (
        TrainingConfig(num_steps=110, learning_rate=1.0, warmup_steps=10, schedule=name)
        for name in ("cosine", "inverse_sqrt")
    )
    falling = [cosine.learning_rate_at(step) for step in range(110)]
    assert falling[9] == 1 and falling[59] == pytest.approx(0.5) and falling[-1] == pytest.approx(0)
    assert falling[10:] == sorted(falling[10:], reverse=True)
    assert root.learning_rate_at(39) == pytest.approx(0.5)
    assert [cosine.learning_rate_at(step) for step in range(10)] == pytest.approx([(s + 1) / 10 for s in range(10)])
