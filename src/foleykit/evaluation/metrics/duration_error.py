"""Whether a sound is exactly as long as its picture."""

from __future__ import annotations

from foleykit.core.errors import InputError


def duration_error(num_samples: int, sample_rate: int, seconds: float) -> float:
    """Return how much longer than `seconds` a sound lasts, in seconds; best at 0.

    Exactly 0 when it has `round(seconds * sample_rate)` samples, since no sound at that rate could be nearer. Raises
    InputError for lengths that are not positive.
    """
    if num_samples < 1 or sample_rate < 1 or not seconds > 0:
        raise InputError(f"lengths must be positive, got {num_samples} samples at {sample_rate} Hz and {seconds} s")
    if num_samples == round(seconds * sample_rate):
        return 0.0
    return num_samples / sample_rate - seconds
