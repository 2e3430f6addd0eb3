"""Two optimizers keep the laws of one: a batch is learnt, and a killed run goes on as if nothing had happened."""

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
from foleykit.core.types import AudioBatch, Losses
from foleykit.recipes.unit_mel_vocoder import debug, objective_of
from foleykit.training.adversarial import AdversarialConfig, AdversarialRun, fit_adversarial
from foleykit.training.loop import step_generator


class ShiftObjective(nn.Module):
    """A generator of noise plus an offset deceives a linear judge of what came around 2."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.generator = nn.Linear(1, 1)
        self.discriminator = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))

    def generate(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        made: Tensor = self.generator(torch.randn(batch.shape, generator=generator))
        return made

    def judging_losses(self, batch: Tensor, generated: Tensor) -> Losses:
        real, fake = self.discriminator(batch), self.discriminator(generated)
        return Losses(total=((real - 1).square() + fake.square()).mean(), parts={})

    def reconstruction_losses(self, batch: Tensor, generated: Tensor) -> Losses:
        return Losses(total=(generated.mean() - batch.mean()).square(), parts={})

    def deceiving_losses(self, batch: Tensor, generated: Tensor) -> Losses:
        total = (self.discriminator(generated) - 1).square().mean()
        return Losses(total=total, parts={"deceiving": total.detach()})


def shift_batch(step: int) -> Tensor:
    return 2 + torch.randn(8, 1, generator=step_generator(7, step))


def shift_run(output: Path, num_steps: int = 30, adversarial_start: int = 5) -> AdversarialRun[Tensor]:
    config = AdversarialConfig(
        num_steps=num_steps,
        learning_rate=0.02,
        warmup_steps=1,
        checkpoint_every=10,
        adversarial_start=adversarial_start,
    )
    return AdversarialRun(objective=ShiftObjective(), batches=shift_batch, config=config, output=output)


def lines_of(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def test_one_batch_is_learnt_at_debug_size(tmp_path: Path) -> None:
    sizes = debug()
    objective = objective_of(sizes, seed=0)
    times = torch.arange(sizes.crop_columns * 256 + 2 * objective.margin) / 16_000
    tones = torch.stack([torch.sin(2 * torch.pi * pitch * times) for pitch in (440.0, 1800.0)])
    batch = AudioBatch(waveform=0.3 * tones)
    config = AdversarialConfig(num_steps=60, learning_rate=3e-3, warmup_steps=1, ema_decay=0.8, adversarial_start=20)
    fit_adversarial(AdversarialRun(objective=objective, batches=lambda step: batch, config=config, output=tmp_path))
    lines = lines_of(tmp_path)
    assert lines[-1]["spectral"] < 0.7 * lines[0]["spectral"]
    assert lines[-1]["judging"] < lines[20]["judging"]
    assert "judging" not in lines[19] and "deceiving" in lines[20] and "features" in lines[20]


def test_the_discriminator_rests_until_its_start_and_is_not_moved_by_the_generator(tmp_path: Path) -> None:
    run = shift_run(tmp_path / "alone", num_steps=5, adversarial_start=5)
    before = {name: tensor.clone() for name, tensor in run.objective.discriminator.state_dict().items()}
    fit_adversarial(run)
    after = run.objective.discriminator.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)

    class Unmoved(ShiftObjective):
        """Its judge finds nothing to learn."""

        def judging_losses(self, batch: Tensor, generated: Tensor) -> Losses:
            assert not generated.requires_grad
            return Losses(total=0 * self.discriminator(batch).mean(), parts={})

    config = AdversarialConfig(num_steps=5, warmup_steps=1, weight_decay=0.0)
    objective = Unmoved()
    before = {name: tensor.clone() for name, tensor in objective.discriminator.state_dict().items()}
    fit_adversarial(
        AdversarialRun(objective=objective, batches=shift_batch, config=config, output=tmp_path / "unmoved")
    )
    after = objective.discriminator.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("stop", [3, 17])
def test_an_interrupted_run_continues_with_the_same_losses_and_weights(tmp_path: Path, stop: int) -> None:
    """Both before the adversary has begun, when its optimizer is still empty, and after."""
    changes = {"num_steps": 24, "adversarial_start": 12}
    fit_adversarial(shift_run(tmp_path / "whole", **changes))

    def stop_at(step: int, loss: float) -> None:
        if step == stop:
            raise KeyboardInterrupt

    parts = shift_run(tmp_path / "parts", **changes)
    with pytest.raises(KeyboardInterrupt):
        fit_adversarial(
            AdversarialRun(
                objective=parts.objective,
                batches=shift_batch,
                config=parts.config,
                output=parts.output,
                on_step=stop_at,
            )
        )
    fit_adversarial(shift_run(tmp_path / "parts", **changes))
    assert lines_of(tmp_path / "parts") == lines_of(tmp_path / "whole")
    whole, joined = (load_tensors(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], joined[name]) for name in whole)


def vocoder_run(output: Path) -> AdversarialRun[AudioBatch]:
    sizes = debug()
    objective = objective_of(sizes, seed=0)
    num_samples = sizes.crop_columns * 256 + 2 * objective.margin

    def batch(step: int) -> AudioBatch:
        return AudioBatch(waveform=0.2 * torch.randn(2, num_samples, generator=step_generator(3, step)).clamp(-4, 4))

    config = AdversarialConfig(num_steps=16, checkpoint_every=4, adversarial_start=2)
    return AdversarialRun(objective=objective, batches=batch, config=config, output=output)


def test_kill_nine_and_restart_gives_the_same_loss_curve(tmp_path: Path) -> None:
    """With the vocoder's own networks: norms that keep an estimate between steps are part of the checkpoint."""
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys, time
            sys.path.insert(0, {str(Path(__file__).parent)!r})
            from dataclasses import replace
            from pathlib import Path
            import torch
            torch.set_num_threads({torch.get_num_threads()})
            from test_adversarial import vocoder_run
            from foleykit.training.adversarial import fit_adversarial
            fit_adversarial(replace(vocoder_run(Path(sys.argv[1])), on_step=lambda step, loss: time.sleep(0.1)))
            """
        )
    )
    output = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, str(script), str(output)])
    deadline = time.monotonic() + 120
    while not (output / "checkpoint" / "state.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (output / "model.safetensors").exists()
    for folder in (output, tmp_path / "whole"):
        fit_adversarial(vocoder_run(folder))
    assert len(lines_of(output)) == 16 and lines_of(output) == lines_of(tmp_path / "whole")


def test_two_processes_follow_the_mean_gradient_of_both_sides(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path.insert(0, {str(Path(__file__).parent)!r})
            from pathlib import Path
            from test_adversarial import shift_run
            from foleykit.training.adversarial import fit_adversarial
            fit_adversarial(shift_run(Path(sys.argv[1]), num_steps=20))
            """
        )
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    subprocess.run(
        [*command, str(tmp_path / "two")], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=240
    )

    class BothHalves(ShiftObjective):
        """What two processes do in one step, in one: halves of a batch, each with its own noise and losses."""

        def generate(self, batch: Tensor, generator: torch.Generator) -> Tensor:
            first = int(batch[0])
            noise = torch.cat([torch.randn(8, 1, generator=step_generator(0, first + half)) for half in (0, 1)])
            made: Tensor = self.generator(noise)
            return made

        def reconstruction_losses(self, batch: Tensor, generated: Tensor) -> Losses:
            gaps = [made.mean() - real.mean() for made, real in zip(generated.chunk(2), recorded(batch), strict=True)]
            return Losses(total=torch.stack(gaps).square().mean(), parts={})

        def judging_losses(self, batch: Tensor, generated: Tensor) -> Losses:
            return super().judging_losses(torch.cat(recorded(batch)), generated)

    def recorded(batch: Tensor) -> list[Tensor]:
        return [shift_batch(int(batch[0]) + half) for half in (0, 1)]

    alone = shift_run(tmp_path / "one", num_steps=20)
    fit_adversarial(
        AdversarialRun(
            objective=BothHalves(),
            batches=lambda step: torch.tensor([2.0 * step]),
            config=alone.config,
            output=alone.output,
        )
    )
    one, two = (load_tensors(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(two[name], one[name], atol=1e-4, rtol=1e-4)


def test_nonsense_is_refused() -> None:
    for wrong in ({"first_beta": 1.0}, {"adversarial_start": -1}, {"learning_rate": 0.0}):
        with pytest.raises(ConfigError):
            AdversarialConfig(num_steps=1, **wrong)
