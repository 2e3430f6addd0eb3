"""The classifier that judges whether sound is in time: trained on the features of a finished video encoder."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foleykit.core.checkpoint import frozen, weights_digest
from foleykit.core.types import Losses
from foleykit.encoders.visual.two_rate import TwoRateEncoder
from foleykit.evaluation.sync_classifier import SyncClassifier, SyncClassifierConfig
from foleykit.evaluation.sync_network import save_encoder
from foleykit.recipes.avldm_batches import PCM_SCALE, step_rng
from foleykit.recipes.run_args import RunArgs
from foleykit.recipes.world_data import once_per_video, open_world
from foleykit.training.loop import Run, TrainingConfig, fit
from foleykit.world.cache import CachedVideo

JUDGED_SHIFT = 0.3
"""Seconds by which the sound of the pairs is shifted that must be told from true ones."""


@dataclass(frozen=True, kw_only=True)
class SyncTrainArgs(RunArgs):
    """One run; the classifier comes to lie in the folder `sync` of its run folder."""

    num_steps: int = 1600
    batch_size: int = 48
    learning_rate: float = 2e-3


@dataclass(frozen=True, kw_only=True)
class SyncBatch:
    features: Tensor
    """(B, T, D) of the pictures"""
    waveform: Tensor
    """(B, S) of the same place, moved against the pictures"""
    shift: Tensor
    """(B,) int64: how many frames too late the sound comes, plus the largest shift"""


@dataclass(frozen=True, kw_only=True)
class SyncBatches:
    """Clips around events with their sound moved by up to the largest shift, under any background and level."""

    videos: Sequence[CachedVideo]
    features: Sequence[NDArray[np.float16]]
    """(T, D) of every video's pictures."""
    config: SyncClassifierConfig
    batch_size: int
    device: str
    seed: int = 0
    event_share: float = 0.9
    """Share of clips that are placed around a visible event."""
    clean_share: float = 0.25
    """Share of clips that hear the action alone."""

    def __call__(self, step: int) -> SyncBatch:
        rng = step_rng(self.seed, step)
        # Distinct places, so that any other clip of the batch is a pair without relation.
        chosen = rng.choice(len(self.videos), self.batch_size, replace=len(self.videos) < self.batch_size)
        clips = [self._clip(int(index), rng) for index in chosen]
        features, waveform, shift = (
            torch.from_numpy(np.stack(part)).to(self.device) for part in zip(*clips, strict=True)
        )
        return SyncBatch(features=features, waveform=waveform, shift=shift)

    def _clip(self, index: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32], np.int64]:
        video, largest = self.videos[index], self.config.max_shift
        start = self._start(video, rng)
        shift = int(rng.integers(-largest, largest + 1))
        features = self.features[index][start : start + self.config.window_frames].astype(np.float32)
        # A sound that begins `shift` frames earlier in the recording comes that much later than the pictures.
        return features, self._sound(video, start - shift, rng), np.int64(shift + largest)

    def _start(self, video: CachedVideo, rng: np.random.Generator) -> int:
        """Draw the first frame of a clip whose sound may be moved either way."""
        length, largest = self.config.window_frames, self.config.max_shift
        last = min(len(video.frames), video.action.shape[0] // self.config.hop_length) - length - largest
        seen = [event.time for event in video.events if event.on_screen]
        if not seen or rng.random() >= self.event_share:
            return int(rng.integers(largest, last + 1))
        frame = seen[rng.integers(len(seen))] * self.config.video_fps
        return int(np.clip(round(frame - rng.uniform(0.1, 0.9) * length), largest, last))

    def _sound(self, video: CachedVideo, start: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return (S,) from frame `start` on: clean action, or the mixture under one of the backgrounds."""
        hop_length = self.config.hop_length
        span = slice(start * hop_length, (start + self.config.window_frames) * hop_length)
        sound = video.action[span].astype(np.float32)
        if rng.random() >= self.clean_share:
            sound = sound + video.off_screen[span] + video.ambient[rng.integers(len(video.ambient)), span]
        gain = 10 ** (rng.uniform(-15, 6) / 20)
        return np.clip(sound * np.float32(gain / PCM_SCALE), -1, 1)


class SyncObjective(nn.Module):
    """At which shift a pair belongs together, and that pairs of two places belong together at none."""

    def __init__(self, classifier: SyncClassifier, *, unrelated_weight: float = 0.3, colour_db: float = 4.0) -> None:
        super().__init__()
        self.model = classifier
        self.unrelated_weight = unrelated_weight
        self.colour_db = colour_db

    def forward(self, batch: SyncBatch, generator: torch.Generator) -> Losses:
        model = self.model
        video = model.embed_video(batch.features)
        mel = model.audio.log_mel(batch.waveform)
        # A random tilt and curve over the bands: codecs and vocoders colour a sound, its timing stays.
        bend = torch.randn(len(mel), 3, generator=generator).to(mel.device) * self.colour_db / 20
        height = torch.linspace(-1, 1, mel.shape[1], device=mel.device)
        curves = torch.stack((height, (torch.pi * height).sin(), (torch.pi * height).cos()))
        audio = model.audio(mel + (bend @ curves)[:, :, None])
        shift = nn.functional.cross_entropy(model.evidence(video, audio), batch.shift)
        others = model.evidence(video, audio.roll(1, 0))
        unrelated = nn.functional.cross_entropy(others, torch.full_like(batch.shift, others.shape[1] - 1))
        return Losses(total=shift + self.unrelated_weight * unrelated, parts={"shift": shift, "unrelated": unrelated})


@dataclass(frozen=True, kw_only=True)
class SyncPairs:
    """Raw log-odds of clips of held-out places whose truth is known."""

    true: Tensor
    """(N,) of true pairs"""
    shifted: Tensor
    """(N, 2) of the same pictures with the sound of 0.3 s earlier and later"""
    other: Tensor
    """(N,) of the same pictures with the sound of another place"""


@dataclass(frozen=True, kw_only=True)
class SyncReport:
    """How well a classifier tells pairs of held-out places apart; shares in [0, 1]."""

    num_clips: int
    accuracy: float
    """Of the decision at probability 0.5 on true pairs and pairs shifted by 0.3 s, as many of either."""
    true_share: float
    """Of true pairs that are called in time: the ceiling of a sync score."""
    shifted_share: float
    """Of shifted pairs that are called in time: the floor."""
    other_share: float
    """Of pairs of two places that are called in time."""
    true_mean: float
    """Mean probability of true pairs"""
    shifted_mean: float
    two_choices: float
    """How often the true pair is the likelier one of a true and a shifted pair."""
    calibration_error: float
    """Mean absolute difference of probability and share in time, over ten bins of equal size."""


def train_sync_classifier(
    args: SyncTrainArgs, encoder: TwoRateEncoder, *, on_step: Callable[[int, float], None] | None = None
) -> Path:
    """Train on the training split's features, calibrate on the held-out one, and return the classifier's folder.

    What `encoder`, rounded to half precision, sees of every long video is computed once and kept in the run folder. It
    comes to lie beside the classifier.
    """
    encoder = frozen(copy.deepcopy(encoder).half().float(), args.device)
    config = SyncClassifierConfig(
        encoder=weights_digest(encoder), video_width=encoder.config.width, video_fps=encoder.config.fps
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        objective = SyncObjective(SyncClassifier(config)).to(args.device)
    videos, held_out = open_world(args.data, "train"), open_world(args.data, "valid")
    batches = SyncBatches(
        videos=videos,
        features=seen_features(videos, encoder, args.output / f"seen-train-{config.encoder}", args.device),
        config=config,
        batch_size=args.batch_size,
        device=args.device,
        seed=args.seed,
    )

    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, SyncClassifier)
        report = sync_report(model, sync_pairs(model, encoder, held_out[:30]))
        return {"accuracy": report.accuracy, "two_choices": report.two_choices}

    training = TrainingConfig(
        num_steps=args.num_steps,
        learning_rate=args.learning_rate,
        checkpoint_every=args.checkpoint_every,
        validate_every=args.checkpoint_every,
        seed=args.seed,
    )
    run = Run(
        objective=objective,
        batches=batches,
        config=training,
        output=args.output,
        device=args.device,
        validate=validate,
        on_step=on_step,
    )
    trained = fit(run, resume=args.resume)
    assert isinstance(trained, SyncClassifier)
    pairs = sync_pairs(trained, encoder, held_out)
    # Half of what is not in time is shifted, half comes from elsewhere.
    raw = torch.cat((pairs.true, pairs.true, pairs.shifted[:, 0], pairs.other))
    trained.calibrate_(raw, torch.arange(len(raw)) < 2 * len(pairs.true))
    folder = args.output / "sync"
    trained.save(folder)
    save_encoder(encoder, folder)
    settings = {
        "num_videos": len(videos),
        "batch_size": args.batch_size,
        "training": asdict(training),
        "torch": torch.__version__,
        "held_out": asdict(sync_report(SyncClassifier.load(folder, device=args.device), pairs)),
    }
    (folder / "training.json").write_text(json.dumps(settings, indent=2) + "\n")
    return folder


def seen_features(
    videos: Sequence[CachedVideo], encoder: TwoRateEncoder, folder: Path, device: str
) -> Sequence[NDArray[np.float16]]:
    """Return the features (T, D) of every long video, computed once."""

    def encode(video: CachedVideo) -> Mapping[str, NDArray[np.float16]]:
        return {"features": look(encoder, np.array(video.frames)).cpu().numpy().astype(np.float16)}

    return [arrays["features"] for arrays in once_per_video(videos, encode, folder, device)]


@torch.inference_mode()
def look(encoder: TwoRateEncoder, pixels: NDArray[np.uint8]) -> Tensor:
    """Return the features (T, D) of frames (T, H, W, 3)."""
    device = next(encoder.parameters()).device
    return encoder(torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2)[None].float() / 255)[0]


def clip_starts(video: CachedVideo, config: SyncClassifierConfig) -> Iterator[int]:
    """Yield the first frames of clips side by side that show an event and whose sound can be moved by a second."""
    fps = config.video_fps
    margin = round(fps)
    last = min(len(video.frames), video.action.shape[0] // config.hop_length) - config.window_frames - margin
    for start in range(margin, last + 1, config.window_frames):
        first, end = start / fps, (start + config.window_frames) / fps
        if any(event.on_screen and first <= event.time < end for event in video.events):
            yield start


@torch.no_grad()
def sync_pairs(classifier: SyncClassifier, encoder: TwoRateEncoder, videos: Sequence[CachedVideo]) -> SyncPairs:
    """Return what a classifier says of true, shifted and foreign pairs of clips, each encoded alone as files are."""
    device = classifier.slope.device
    config = classifier.config
    hop_length, length = config.hop_length, config.window_frames

    def heard(video: CachedVideo, frame: float) -> Tensor:
        start = round(frame * hop_length)
        span = slice(start, start + length * hop_length)
        mix = video.action[span].astype(np.float32) + video.off_screen[span] + video.ambient[0, span]
        return classifier.embed_audio(torch.from_numpy(np.clip(mix / PCM_SCALE, -1, 1))[None].to(device))

    true, shifted, other = [], [], []
    for index, video in enumerate(videos):
        foreign = videos[(index + 1) % len(videos)]
        for start in clip_starts(video, config):
            looks = classifier.embed_video(look(encoder, np.array(video.frames[start : start + length]))[None])

            def odds(sound: Tensor, looks: Tensor = looks) -> Tensor:
                return classifier.raw_log_odds(classifier.evidence(looks, sound))[0].cpu()

            moved = JUDGED_SHIFT * config.video_fps
            true.append(odds(heard(video, start)))
            shifted.append(torch.stack([odds(heard(video, start + sign * moved)) for sign in (-1, 1)]))
            other.append(odds(heard(foreign, start)))
    return SyncPairs(true=torch.stack(true), shifted=torch.stack(shifted), other=torch.stack(other))


def sync_report(classifier: SyncClassifier, pairs: SyncPairs) -> SyncReport:
    """Return the figures of a classifier's calibrated decisions."""
    true, shifted, other = (
        classifier.calibrated(part.to(classifier.slope.device)).cpu().double()
        for part in (pairs.true, pairs.shifted, pairs.other)
    )
    said = torch.cat((true.repeat(2), shifted[:, 0], other))
    was = torch.cat((torch.ones(2 * len(true)), torch.zeros(2 * len(true)))).double()
    bins = said.argsort().tensor_split(10)
    gaps = torch.stack([(said[part].mean() - was[part].mean()).abs() * len(part) for part in bins])
    true_share, shifted_share = float((true >= 0.5).double().mean()), float((shifted >= 0.5).double().mean())
    return SyncReport(
        num_clips=len(true),
        accuracy=(true_share + 1 - shifted_share) / 2,
        true_share=true_share,
        shifted_share=shifted_share,
        other_share=float((other >= 0.5).double().mean()),
        true_mean=float(true.mean()),
        shifted_mean=float(shifted.mean()),
        two_choices=float((true[:, None] > shifted).double().mean()),
        calibration_error=float(gaps.sum() / len(said)),
    )
