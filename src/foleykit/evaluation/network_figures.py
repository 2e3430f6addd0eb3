"""Figures that rest on what a network hears, with the least number of sounds each can stand on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.core.errors import InputError
from foleykit.core.progress import Report as Progress
from foleykit.evaluation.metrics.frechet_distance import frechet_distance
from foleykit.evaluation.metrics.inception_score import inception_score
from foleykit.evaluation.metrics.intervals import Estimate, bootstrap_normal, bootstrap_percentile
from foleykit.evaluation.metrics.kl_divergence import kl_divergence
from foleykit.evaluation.metrics.prdc import Prdc, prdc
from foleykit.evaluation.networks import NETWORKS, NetworkName, PairNetwork, SoundFeatures, SoundNetwork
from foleykit.evaluation.pairing import Pair
from foleykit.evaluation.protocols import MediaProtocol, NetworkFigure

SET_RESAMPLES = 60
"""A distance of sets is slow, and its interval comes from a standard deviation."""


@dataclass(frozen=True, kw_only=True)
class NetworkFigures:
    generated: dict[str, Estimate] = field(default_factory=dict)
    reference: dict[str, Estimate] = field(default_factory=dict)
    """Of one random half of the reference against the other; of scores of pairs, of the recordings themselves."""
    clips: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """(N,) values by column, of figures that have one per clip."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Why a metric's figure is missing, by its key."""


def network_figures(
    wanted: Sequence[NetworkFigure],
    networks: Mapping[NetworkName, SoundNetwork | PairNetwork],
    pairs: Sequence[Pair],
    protocol: MediaProtocol,
    *,
    progress: Progress,
) -> NetworkFigures:
    """Return the figures of those networks that are there, and why the others are missing."""
    result = NetworkFigures()
    for name in dict.fromkeys(entry.network for entry in wanted):
        entries = [entry for entry in wanted if entry.network == name]
        if name not in networks:
            result.left_out.update({entry.metric.key: f"needs {NETWORKS[name]}" for entry in entries})
        elif entries[0].kind == "pair":
            for entry in entries:
                _score_pairs(entry, cast(PairNetwork, networks[name]), pairs, protocol, result, progress)
        else:
            _compare_sets(entries, cast(SoundNetwork, networks[name]), pairs, protocol, result, progress)
    return result


def _score_pairs(
    entry: NetworkFigure,
    network: PairNetwork,
    pairs: Sequence[Pair],
    protocol: MediaProtocol,
    result: NetworkFigures,
    progress: Progress,
) -> None:
    """Add the scores of the generated sounds and, as their ceiling, of the recordings themselves."""
    scores, ceilings = [], []
    for index, pair in enumerate(pairs):
        scores.append(network.score(pair.generated, pair.reference, seconds=protocol.measure.seconds))
        ceilings.append(network.score(pair.reference, pair.reference, seconds=protocol.measure.seconds))
        progress(f"{entry.network}", (index + 1) / len(pairs))
    _add_clip_values(entry, np.array(scores, np.float64), protocol, result)
    if (ceiling := _mean(np.array(ceilings, np.float64), protocol)) is not None:
        result.reference[entry.metric.key] = ceiling


def _add_clip_values(
    entry: NetworkFigure, values: NDArray[np.float64], protocol: MediaProtocol, result: NetworkFigures
) -> None:
    values = np.where(np.isfinite(values), values, np.nan)
    result.clips[entry.metric.key] = values
    if (estimate := _mean(values, protocol)) is not None:
        result.generated[entry.metric.key] = estimate
    else:
        result.left_out[entry.metric.key] = f"only {np.isfinite(values).sum()} clips have a value"


def _mean(values: NDArray[np.float64], protocol: MediaProtocol) -> Estimate | None:
    """Return the mean over the clips that have a value, None where fewer than two have one."""
    valid = values[np.isfinite(values)]
    if len(valid) < 2:
        return None
    return bootstrap_percentile(
        lambda clips: float(valid[clips].mean()), len(valid), seed=protocol.seed, num_resamples=protocol.num_resamples
    )


@dataclass(frozen=True, kw_only=True)
class _Set:
    """Features of many sounds."""

    sounds: Sequence[SoundFeatures]

    def embeddings(self, clips: Sequence[int] | NDArray[np.int64] | None = None) -> Tensor:
        chosen = range(len(self.sounds)) if clips is None else clips
        return torch.cat([self.sounds[int(clip)].embeddings for clip in chosen])

    def logits(self) -> Tensor:
        if any(sound.logits is None for sound in self.sounds):
            raise InputError("its network names no classes")
        return torch.stack([cast(Tensor, sound.logits) for sound in self.sounds])

    def clip_of(self) -> NDArray[np.int64]:
        """Return for each embedding (W,) the clip it comes from."""
        return np.repeat(np.arange(len(self.sounds)), [len(sound.embeddings) for sound in self.sounds])


def _compare_sets(
    entries: Sequence[NetworkFigure],
    network: SoundNetwork,
    pairs: Sequence[Pair],
    protocol: MediaProtocol,
    result: NetworkFigures,
    progress: Progress,
) -> None:
    seconds = protocol.measure.seconds
    known, made = [], []
    for index, pair in enumerate(pairs):
        known.append(network.features(pair.reference, seconds=seconds))
        made.append(network.features(pair.generated, seconds=seconds))
        progress(entries[0].network, (index + 1) / len(pairs))
    reference, generated = _Set(sounds=known), _Set(sounds=made)
    order = np.random.default_rng(protocol.seed).permutation(len(pairs))
    halves = [_Set(sounds=[known[index] for index in half]) for half in np.array_split(order, 2)]
    for entry in entries:
        key = entry.metric.key
        try:
            if entry.kind == "divergence":
                divergences = kl_divergence(reference.logits(), generated.logits(), epsilon=entry.epsilon)
                _add_clip_values(entry, divergences.numpy(), protocol, result)
                continue
            result.generated[key] = _set_figure(entry, reference, generated, protocol)
        except InputError as error:
            result.left_out[key] = str(error)
            continue
        try:
            one, other = (reference, reference) if entry.kind == "inception" else halves
            result.reference[key] = _set_figure(entry, one, other, protocol)
        except InputError:
            continue  # Half a set may be too small for what the whole is large enough for.


def _set_figure(entry: NetworkFigure, reference: _Set, generated: _Set, protocol: MediaProtocol) -> Estimate:
    """Return one figure of two sets. Raises InputError when they are too small for it or hold what is not finite."""
    real, made = reference.embeddings(), generated.embeddings()
    if not (real.isfinite().all() and made.isfinite().all()):
        raise InputError("its embeddings are not all finite")
    num_clips, num_windows = len(generated.sounds), min(len(real), len(made))
    if num_clips < protocol.min_set_clips:
        raise InputError(f"needs {protocol.min_set_clips} clips, there are {num_clips}")

    def bootstrap(statistic: Callable[[NDArray[np.int64]], float]) -> Estimate:
        resamples = min(SET_RESAMPLES, protocol.num_resamples)
        return bootstrap_normal(statistic, num_clips, seed=protocol.seed, num_resamples=resamples)

    if entry.kind == "frechet":
        # With fewer the covariances are singular, and the distance says how few there are.
        if num_windows <= real.shape[1]:
            raise InputError(f"needs more than {real.shape[1]} embeddings per set, there are {num_windows}")
        return bootstrap(lambda clips: frechet_distance(real, generated.embeddings(clips)))
    if entry.kind == "inception":
        logits = generated.logits()
        return bootstrap(lambda clips: inception_score(logits[clips]))
    return _share(entry, prdc(real, made), reference, generated, protocol)


def _share(entry: NetworkFigure, found: Prdc, reference: _Set, generated: _Set, protocol: MediaProtocol) -> Estimate:
    """Return precision, recall, density or coverage; clips are redrawn while both manifolds stay as they are.

    Redrawn manifolds would hold the same embedding several times, whose neighbourhoods are then points.
    """
    items, of = {
        "precision": (found.is_precise, generated),
        "density": (found.densities, generated),
        "recall": (found.is_recalled, reference),
        "coverage": (found.is_covered, reference),
    }[entry.kind]
    clip_of = of.clip_of()
    sums = np.bincount(clip_of, weights=items.double().numpy())
    counts = np.bincount(clip_of)
    return bootstrap_percentile(
        lambda clips: float(sums[clips].sum() / counts[clips].sum()),
        len(of.sounds),
        seed=protocol.seed,
        num_resamples=protocol.num_resamples,
    )
