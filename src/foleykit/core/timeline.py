"""The one place that converts between clocks: seconds, samples, latent frames and video frames."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from foleykit.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The length of one clip on every clock; `num_samples` is the truth and all other lengths derive from it."""

    num_samples: int
    """Samples of the sound, at `sample_rate`."""
    sample_rate: int
    """Samples per second."""
    hop_length: int = 1
    """Samples per latent frame."""

    def __post_init__(self) -> None:
        if self.num_samples < 1 or self.sample_rate < 1 or self.hop_length < 1:
            raise InputError(
                f"a timeline needs at least one sample, a positive rate and hop; got {self.num_samples} samples "
                f"at {self.sample_rate} Hz with hop {self.hop_length}"
            )

    @classmethod
    def from_seconds(cls, seconds: float | Fraction, sample_rate: int, hop_length: int = 1) -> Timeline:
        """Return the timeline of `round(seconds * sample_rate)` samples, at least one."""
        return cls(num_samples=max(1, round(seconds * sample_rate)), sample_rate=sample_rate, hop_length=hop_length)

    @property
    def seconds(self) -> float:
        return self.num_samples / self.sample_rate

    @property
    def frame_rate(self) -> float:
        """Latent frames per second."""
        return self.sample_rate / self.hop_length

    @property
    def num_latent_frames(self) -> int:
        """Latent frames that cover every sample: the last one may reach past the end and is trimmed after decoding."""
        return -(-self.num_samples // self.hop_length)

    def num_video_frames(self, fps: float) -> int:
        """Return how many frames at `fps` cover the clip."""
        return max(1, -int(-self.num_samples * fps // self.sample_rate))

    def at(self, sample_rate: int) -> Timeline:
        """Return the same duration at another sample rate, without latent frames."""
        return Timeline(
            num_samples=max(1, round(Fraction(self.num_samples * sample_rate, self.sample_rate))),
            sample_rate=sample_rate,
        )
