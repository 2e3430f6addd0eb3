"""Fit the rule of the signal tagger: made-up voices and tunes against the world and real recordings of actions.

python -m foleykit.data.tagger_fit WORLD_CACHE RECORDINGS

writes signal_tagger.json beside this file. It takes some minutes, and the result is the same every time.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.files import read_waveform
from foleykit.data.corpora.planted import music, speech
from foleykit.data.listening import FEATURE_NAMES, FEATURE_RATE, signal_features
from foleykit.world.cache import PCM_SCALE, CachedVideo, open_cache

NUM_HIDDEN = 8
NUM_WORLD_CLIPS = 700
NUM_PLANTED = 400
_SIZE = 3 * FEATURE_RATE
_PEOPLE_OR_MUSIC = ("babble", "bells", "talking", "crowd")


def world_clips(videos: tuple[CachedVideo, ...], rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Return clips (S,) around narrations, each with one of its video's backgrounds."""
    moments = [
        (video, time, variant)
        for video in videos
        for time, _ in video.narrations
        for variant in range(len(video.ambient))
    ]
    clips = []
    for position in rng.permutation(len(moments))[:NUM_WORLD_CLIPS]:
        video, time, variant = moments[position]
        first = round(min(max(time - 1.5, 0), video.seconds - 3) * FEATURE_RATE)
        part = slice(first, first + _SIZE)
        mix = video.action[part].astype(np.float32) + video.off_screen[part] + video.ambient[variant][part]
        clips.append(mix / np.float32(PCM_SCALE))
    return clips


def recorded_clips(folder: Path) -> Iterator[NDArray[np.float32]]:
    """Yield 3 s (S,) of every recording below a folder, repeated where it is shorter, without people and music."""
    for path in sorted(folder.rglob("*.flac")):
        if not any(word in path.as_posix() for word in _PEOPLE_OR_MUSIC):
            waveform, _ = read_waveform(path, sample_rate=FEATURE_RATE, mono=True)
            yield np.resize(waveform[0], _SIZE)


def planted_clips(videos: tuple[CachedVideo, ...]) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Yield clips (S,) with their class, 1 for speech and 2 for music, as a bad microphone in a live place hears them.

    Half of the voices talk for a part of the clip only, and half of all clips have actions in them; the rest of the
    place is 3 to 35 dB below.
    """
    for index in range(NUM_PLANTED):
        rng = np.random.default_rng((11, index))
        kind = 1 + index % 2
        sound = _through_microphone((speech if kind == 1 else music)(_SIZE, FEATURE_RATE, rng), rng)
        if kind == 1 and rng.random() < 0.5:
            first = rng.uniform(0, 1.8)
            time = np.arange(_SIZE) / FEATURE_RATE
            sound = sound * np.clip(20 * np.minimum(time - first, first + rng.uniform(1, 3) - time), 0, 1)
        video = videos[int(rng.integers(len(videos)))]
        start = int(rng.integers(video.ambient.shape[1] - _SIZE))
        part = slice(start, start + _SIZE)
        place = video.ambient[int(rng.integers(len(video.ambient)))][part].astype(np.float32)
        if rng.random() < 0.5:
            place = place + video.action[part]
        gain = 10 ** (-rng.uniform(3, 35) / 20) * np.std(sound) / max(float(np.std(place)), 1e-9)
        yield np.asarray(sound + gain * place, np.float32), kind


def _through_microphone(sound: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return `sound` (S,) with random limits and slope of its spectrum."""
    frequencies = np.fft.rfftfreq(sound.size, 1 / FEATURE_RATE) + 1
    low, high = rng.uniform(30, 250), rng.uniform(1500, 9000)
    gains = (frequencies / 1000) ** rng.uniform(-0.5, 0.5)
    gains /= np.sqrt((1 + (low / frequencies) ** 4) * (1 + (frequencies / high) ** 4))
    return np.asarray(np.fft.irfft(np.fft.rfft(sound) * gains, sound.size), np.float32)


def fit(features: NDArray[np.float64], classes: NDArray[np.int64]) -> dict[str, object]:
    """Return the rule for features (N, F) of classes 0 other, 1 speech and 2 music: one hidden layer."""
    import torch

    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
    inputs = torch.from_numpy(np.clip((features - mean) / deviation, -4, 4)).float()
    targets = torch.from_numpy(classes)
    generator = torch.Generator().manual_seed(0)
    shapes = ((features.shape[1], NUM_HIDDEN), (NUM_HIDDEN,), (NUM_HIDDEN, 3), (3,))
    weights = [torch.randn(shape, generator=generator) * (0.2 if len(shape) == 2 else 0) for shape in shapes]
    hidden, hidden_bias, output, output_bias = (weight.requires_grad_() for weight in weights)
    optimizer = torch.optim.AdamW([hidden, hidden_bias, output, output_bias], lr=2e-2, weight_decay=3e-3)
    balance = len(targets) / 3 / torch.bincount(targets).float()
    for _ in range(600):
        noisy = inputs + 0.1 * torch.randn(inputs.shape, generator=generator)
        scores = torch.tanh(noisy @ hidden + hidden_bias) @ output + output_bias
        decay = 3e-4 * (hidden.square().sum() + output.square().sum())
        loss = torch.nn.functional.cross_entropy(scores, targets, weight=balance) + decay
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    named = {
        "mean": mean,
        "deviation": deviation,
        "hidden": hidden.detach().numpy(),
        "hidden_bias": hidden_bias.detach().numpy(),
        "output": output.detach().numpy(),
        "output_bias": output_bias.detach().numpy(),
    }
    rounded = {name: np.round(values.astype(np.float64), 5).tolist() for name, values in named.items()}
    return {"features": list(FEATURE_NAMES), **rounded}


def main() -> None:
    """Fit the rule and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world", type=Path, help="a cache of the world; its training split is used")
    parser.add_argument("recordings", type=Path, help="folder with actions/ and ambient/ recordings")
    options = parser.parse_args()
    videos = open_cache(options.world, "train", limit=130)
    sounds = world_clips(videos, np.random.default_rng(0))
    # Two of three recordings; the third is kept for measuring.
    sounds += [clip for index, clip in enumerate(recorded_clips(options.recordings)) if index % 3]
    classes = [0] * len(sounds)
    for clip, kind in planted_clips(videos):
        sounds.append(clip)
        classes.append(kind)
    rule = fit(np.stack([signal_features(sound) for sound in sounds]), np.array(classes))
    target = Path(__file__).with_name("signal_tagger.json")
    target.write_text(json.dumps(rule) + "\n", encoding="utf-8")
    print(f"{target}: fitted to {classes.count(0)} other, {classes.count(1)} speech and {classes.count(2)} music clips")


if __name__ == "__main__":
    main()
