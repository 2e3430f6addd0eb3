"""Channel layouts, and a generated sound together with the original one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.resample import fit_length
from foleykit.core.errors import InputError

MixMode = Literal["keep", "duck"]

_C = 0.7071067811865476
_TO_STEREO: dict[int, NDArray[np.float32]] = {
    count: np.asarray(rows, np.float32)
    for count, rows in {
        1: [[1], [1]],
        2: [[1, 0], [0, 1]],
        3: [[1, 0, 0], [0, 1, 0]],
        4: [[1, 0, _C, 0], [0, 1, 0, _C]],
        5: [[1, 0, _C, _C, 0], [0, 1, _C, 0, _C]],
        6: [[1, 0, _C, 0, _C, 0], [0, 1, _C, 0, 0, _C]],
        8: [[1, 0, _C, 0, _C, 0, _C, 0], [0, 1, _C, 0, 0, _C, 0, _C]],
    }.items()
}
"""ITU-R BS.775 coefficients in FFmpeg's channel order; the low-frequency channel is left out."""


def to_channels(waveform: NDArray[np.float32], num_channels: int) -> NDArray[np.float32]:
    """Return `waveform` (C, S) with `num_channels` channels, (num_channels, S).

    Down-mixes go by way of stereo with weights that cannot clip: a sound that is equal in all main channels keeps its
    level. A mono or stereo sound goes to the front pair of a wider layout. Raises InputError for a count of channels
    without a standard layout.
    """
    count = waveform.shape[0]
    if num_channels < 1 or count not in _TO_STEREO:
        raise InputError(f"no rule to turn {count} channels into {num_channels}; known are 1 to 6 and 8")
    if count == num_channels:
        return waveform
    weights = _TO_STEREO[count]
    stereo = (weights / weights.sum(1, keepdims=True)) @ waveform
    if num_channels == 1:
        return stereo.mean(0, keepdims=True, dtype=np.float32)
    if num_channels == 2:
        return stereo
    wide = np.zeros((num_channels, waveform.shape[-1]), np.float32)
    wide[:2] = stereo
    return wide


@dataclass(frozen=True, kw_only=True)
class Mix:
    """A generated sound with the original; the stems sum to the mix."""

    generated: NDArray[np.float32]
    """(C, S)"""
    original: NDArray[np.float32]
    """(C, S) as loud as it is in the mix."""

    @property
    def waveform(self) -> NDArray[np.float32]:
        """(C, S) the sum; it may pass full scale, which a loudness ceiling afterwards takes care of."""
        return self.generated + self.original


def mix_original(
    generated: NDArray[np.float32],
    original: NDArray[np.float32],
    mode: MixMode,
    *,
    sample_rate: int,
    sidechain: NDArray[np.float32] | None = None,
    depth_db: float = 12.0,
) -> Mix:
    """Return both sounds (C, S) in as many channels as the wider one has and exactly as long as the generated one.

    "keep" leaves the original as it is; "duck" lowers it by up to `depth_db` while the `sidechain` (C, S), by default
    the generated sound, is louder than its surroundings.
    """
    num_samples = generated.shape[-1]
    num_channels = max(generated.shape[0], original.shape[0])
    heard = fit_length(to_channels(original, num_channels), num_samples)
    if mode == "duck":
        key = generated if sidechain is None else sidechain
        heard = heard * duck_gain(fit_length(key, num_samples), sample_rate, depth_db=depth_db)
    return Mix(generated=to_channels(generated, num_channels), original=heard)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ducking:
    """A gain over time that makes room for a sound."""

    gain_db: NDArray[np.float64]
    """(T,) one value in every `hop` samples, at its middle."""
    hop: int

    def __call__(self, start: int, stop: int, /) -> NDArray[np.float32]:
        """Return the gains (stop - start,) of samples `start` to `stop`."""
        centres = (np.arange(len(self.gain_db)) + 0.5) * self.hop
        return np.asarray(10 ** (np.interp(np.arange(start, stop), centres, self.gain_db) / 20), np.float32)


def duck_gain(
    sidechain: NDArray[np.float32],
    sample_rate: int,
    *,
    depth_db: float = 12.0,
    threshold_db: float = 6.0,
    attack_s: float = 0.02,
    release_s: float = 0.25,
) -> NDArray[np.float32]:
    """Return the gain (S,) in [10^(-depth/20), 1] that makes room for `sidechain` (C, S), as `duck` finds it."""
    ducking = duck(
        [sidechain],
        sample_rate,
        depth_db=depth_db,
        threshold_db=threshold_db,
        attack_s=attack_s,
        release_s=release_s,
    )
    return ducking(0, sidechain.shape[-1])


def duck(
    sidechain: Iterable[NDArray[np.float32]],
    sample_rate: int,
    *,
    depth_db: float = 12.0,
    threshold_db: float = 6.0,
    attack_s: float = 0.02,
    release_s: float = 0.25,
) -> Ducking:
    """Return the gain in [10^(-depth/20), 1] that makes room for a sound, given as blocks (C, n).

    The level of the sidechain in 10 ms steps is compared with its own median, so that a steady background ducks
    nothing; `threshold_db` above it the gain starts to fall, and 12 dB further it is lowest. It falls within `attack_s`
    before the loud moment, rather than after it, and returns over `release_s`.
    """
    hop = max(1, sample_rate // 100)
    level_db = 10 * np.log10(_step_powers(sidechain, hop) + 1e-10)
    floor_db = max(float(np.median(level_db)), -70.0)
    wanted_db = -depth_db * np.clip((level_db - floor_db - threshold_db) / 12, 0, 1)
    gain_db = _early_minimum(wanted_db, max(1, round(attack_s * 100)))
    rise = depth_db / max(1.0, release_s * 100)
    for step in range(1, len(gain_db)):
        gain_db[step] = min(gain_db[step], gain_db[step - 1] + rise)
    return Ducking(gain_db=gain_db, hop=hop)


def _step_powers(blocks: Iterable[NDArray[np.float32]], hop: int) -> NDArray[np.float32]:
    """Return the mean power (T,) of every `hop` samples of `blocks` (C, n), with silence behind the last."""
    powers = []
    left = np.zeros(0, np.float32)
    for block in blocks:
        squares = np.concatenate((left, np.square(block, dtype=np.float32).mean(0)))
        num_whole = len(squares) // hop
        left = squares[num_whole * hop :]
        powers.append(squares[: num_whole * hop].reshape(num_whole, hop).mean(1))
    if len(left):
        powers.append(fit_length(left, hop).mean(keepdims=True))
    return np.concatenate(powers)


def _early_minimum(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Return the minimum of each value and the `width` values after it."""
    padded = np.concatenate([values, np.full(width, values[-1] if values.size else 0.0)])
    return np.lib.stride_tricks.sliding_window_view(padded, width + 1).min(-1)
