"""Training vocoder-128x16k, which makes 16 kHz sound of 128-bin mels, on the world and on recordings.

The result is a folder that converted Action2Sound models take their vocoder from: vocoder.json, vocoder.safetensors and
a model card. A killed run goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foleykit.audio.files import read_waveform
from foleykit.codecs.griffin_lim import GriffinLim
from foleykit.codecs.hifigan_discriminators import (
    HifiGanDiscriminators,
    HifiGanDiscriminatorsConfig,
    debug_discriminators,
)
from foleykit.codecs.unit_mel_vocoder import UnitMelVocoder, UnitMelVocoderConfig, save_vocoder
from foleykit.codecs.unit_mel_vocoder_objective import UnitMelVocoderObjective, UnitMelVocoderObjectiveConfig
from foleykit.core.errors import ConfigError
from foleykit.core.types import AudioBatch
from foleykit.evaluation.vocoder import score_vocoder
from foleykit.recipes.avldm_batches import PCM_SCALE, AudioBatches, step_rng
from foleykit.recipes.run_args import RunArgs
from foleykit.recipes.vocoder_card import Scores, write_attribution, write_card
from foleykit.recipes.world_data import open_world
from foleykit.training.adversarial import AdversarialConfig, AdversarialRun, fit_adversarial
from foleykit.training.loop import write_settings
from foleykit.training.processes import join_processes
from foleykit.world.cache import CachedVideo
from foleykit.world.recordings import Recordings
from foleykit.world.types import Split

NAME = "vocoder-128x16k"
HELD_OUT_RECORDINGS = 12


@dataclass(frozen=True, kw_only=True)
class VocoderPreset:
    """Sizes of a vocoder and of what it is trained against."""

    generator: UnitMelVocoderConfig
    discriminators: HifiGanDiscriminatorsConfig
    objective: UnitMelVocoderObjectiveConfig
    crop_columns: int
    """Mel columns of one training crop."""
    num_steps: int
    batch_size: int
    learning_rate: float


def vocoder_128x16k() -> VocoderPreset:
    """Return 1.8 million parameters against discriminators that a processor core can run."""
    return VocoderPreset(
        generator=UnitMelVocoderConfig(),
        discriminators=HifiGanDiscriminatorsConfig(
            period_widths=(8, 32, 96, 192),
            num_scales=2,
            scale_widths=(8, 32, 96, 192),
            scale_kernels=(15, 41, 41, 5),
            scale_strides=(2, 4, 4, 1),
            scale_groups=(1, 4, 8, 1),
        ),
        objective=UnitMelVocoderObjectiveConfig(),
        crop_columns=32,
        num_steps=1900,
        batch_size=12,
        learning_rate=1e-3,
    )


def debug() -> VocoderPreset:
    """Return the same structure small enough for a test."""
    return VocoderPreset(
        generator=UnitMelVocoderConfig(width=16, num_blocks=1),
        discriminators=debug_discriminators(),
        objective=UnitMelVocoderObjectiveConfig(resolutions=((512, 128),)),
        crop_columns=8,
        num_steps=4,
        batch_size=2,
        learning_rate=1e-3,
    )


@dataclass(frozen=True, kw_only=True)
class VocoderTrainArgs(RunArgs):
    """One run."""

    preset: Literal["vocoder-128x16k", "debug"] = "vocoder-128x16k"
    checkpoint_every: int = 250
    recording_share: float = 0.5
    """Share of crops that are cut from recordings where there are some."""
    solo_share: float = 1 / 2
    """Share of the steps, at the start, in which the generator reconstructs without an adversary."""

    def __post_init__(self) -> None:
        if not 0 <= self.recording_share <= 1 or not 0 <= self.solo_share <= 1:
            raise ConfigError(
                f"recording_share {self.recording_share} and solo_share {self.solo_share} must be from 0 to 1"
            )

    @property
    def sizes(self) -> VocoderPreset:
        match self.preset:
            case "vocoder-128x16k":
                return vocoder_128x16k()
            case "debug":
                return debug()
            case _:
                assert_never(self.preset)


@dataclass(frozen=True, kw_only=True)
class SoundBatches:
    """Crops of the world's mixtures and of recordings."""

    world: AudioBatches
    recordings: Sequence[NDArray[np.float32]]
    """Each (S,)."""
    recording_share: float

    def __call__(self, step: int) -> AudioBatch:
        batch = self.world(step)
        if not self.recordings:
            return batch
        # Another stream than the one that drew the world's crops of this step.
        rng = np.random.default_rng((self.world.seed, step, 1))
        for index in np.flatnonzero(rng.random(len(batch.waveform)) < self.recording_share):
            recording = self.recordings[int(rng.integers(len(self.recordings)))]
            crop = crop_of(recording, self.world.num_samples, rng)
            batch.waveform[index] = torch.from_numpy(crop).to(batch.waveform.device)
        return batch


def crop_of(recording: NDArray[np.float32], num_samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a crop of a recording (S,) at a level of its own; a short one lies somewhere in silence."""
    spare = num_samples - len(recording)
    if spare > 0:
        before = int(rng.integers(spare + 1))
        recording = np.pad(recording, (before, spare - before))
    start = int(rng.integers(len(recording) - num_samples + 1))
    gain = np.float32(10 ** (rng.uniform(-20, 3) / 20))
    return np.clip(recording[start : start + num_samples] * gain, -1, 1)


def sound_batches(
    args: RunArgs, *, num_samples: int, sample_rate: int, batch_size: int, recording_share: float
) -> SoundBatches:
    """Return the crops of `num_samples` that a run trains on."""
    return SoundBatches(
        world=AudioBatches(
            videos=open_world(args.data, "train"),
            num_samples=num_samples,
            batch_size=batch_size,
            device=args.device,
            seed=args.seed,
        ),
        recordings=recorded(args.data.recordings, "train", sample_rate),
        recording_share=recording_share,
    )


def train_vocoder(args: VocoderTrainArgs, *, on_step: Callable[[int, float], None] | None = None) -> Path:
    """Train the vocoder and return the folder, in `args.output`, that holds it."""
    sizes = args.sizes
    objective = objective_of(sizes, args.seed).to(args.device)
    mel = objective.mel
    num_steps = args.num_steps or sizes.num_steps
    training = AdversarialConfig(
        num_steps=num_steps,
        learning_rate=args.learning_rate or sizes.learning_rate,
        adversarial_start=round(args.solo_share * num_steps),
        decay_fraction=0.4,
        max_gradient_norm=5.0,
        ema_decay=0.999,
        checkpoint_every=args.checkpoint_every,
        validate_every=args.checkpoint_every,
        seed=args.seed,
    )
    batches = sound_batches(
        args,
        num_samples=sizes.crop_columns * mel.config.hop_length + 2 * objective.margin,
        sample_rate=mel.config.sample_rate,
        batch_size=args.batch_size or sizes.batch_size,
        recording_share=args.recording_share,
    )
    held_out = held_out_clips(args, mel.config.sample_rate)

    def score(vocoder: Callable[[Tensor], Tensor]) -> Scores:
        return {source: score_vocoder(vocoder, mel, clips) for source, clips in held_out.items()}

    baseline = score(GriffinLim(mel.config).to(args.device))
    further = {"preset": args.preset, "num_recordings": len(batches.recordings)}
    settings = write_settings(args.output, training, batches.world.batch_size, further)

    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, UnitMelVocoder)
        return logged(score(model.sound)) | {f"griffin_lim/{key}": value for key, value in logged(baseline).items()}

    run = AdversarialRun(
        objective=objective,
        batches=batches,
        config=training,
        output=args.output,
        device=args.device,
        validate=validate,
        on_step=on_step,
    )
    averaged = fit_adversarial(run, resume=args.resume)
    assert isinstance(averaged, UnitMelVocoder)
    folder = args.output / NAME
    if join_processes(args.device).is_main:
        save_vocoder(averaged, folder)
        write_card(folder, settings, ours=score(averaged.sound), griffin_lim=baseline)
        if args.data.recordings is not None:
            write_attribution(folder, credits_of(args.data.recordings, "train"))
    return folder


def logged(scores: Scores) -> dict[str, float]:
    return {f"{source}/{name}": value for source, part in scores.items() for name, value in part.means().items()}


def objective_of(sizes: VocoderPreset, seed: int) -> UnitMelVocoderObjective:
    """Return both sides as they start with `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UnitMelVocoderObjective(
            UnitMelVocoder(sizes.generator), HifiGanDiscriminators(sizes.discriminators), sizes.objective
        )


def world_clips(
    videos: Sequence[CachedVideo], *, num_clips: int = 12, seconds: float = 3.0
) -> list[NDArray[np.float32]]:
    """Return mixtures (S,) of the world as they are, from places in turn under backgrounds in turn."""
    clips = []
    for index in range(num_clips):
        video = videos[index % len(videos)]
        num_samples = min(round(seconds * video.sample_rate), video.action.shape[-1])
        start = int(step_rng(1, index).integers(video.action.shape[-1] - num_samples + 1))
        span = slice(start, start + num_samples)
        mix = video.action[span].astype(np.float32) + video.off_screen[span]
        mix += video.ambient[index % len(video.ambient), span]
        clips.append(np.clip(mix / np.float32(PCM_SCALE), -1, 1))
    return clips


def held_out_clips(args: RunArgs, sample_rate: int) -> Mapping[str, Sequence[Tensor]]:
    """Return waveforms (S,) of held-out places and, where there are recordings, of held-out ones, 3 s at most."""
    clips = {"world": world_clips(open_world(args.data, "valid"))}
    longer = [clip for clip in recorded(args.data.recordings, "valid", sample_rate) if len(clip) >= sample_rate]
    if longer:
        stride = -(-len(longer) // HELD_OUT_RECORDINGS)
        clips["recordings"] = [clip[: 3 * sample_rate] for clip in longer[::stride]]
    return {source: [torch.from_numpy(clip).to(args.device) for clip in part] for source, part in clips.items()}


def recorded(folder: Path | None, split: Split, sample_rate: int) -> list[NDArray[np.float32]]:
    """Return the recordings (S,) of `split` in `folder`, none without a folder."""
    if folder is None:
        return []
    rows = [row for row in Recordings.load(folder).rows if row.split == split]
    return [read_waveform(row.path, sample_rate=sample_rate, mono=True)[0][0] for row in rows]


def credits_of(folder: Path, split: Split) -> tuple[str, ...]:
    """Return a line for each recording of `split` in `folder`."""
    recordings = Recordings.load(folder)
    return recordings.credits({row.key for row in recordings.rows if row.split == split})
