"""Which spans of a long video are wanted, and what the clips cut from them look and sound like."""

from __future__ import annotations

from dataclasses import dataclass

from foleykit.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class CutConfig:
    """What a cut clip looks and sounds like."""

    size: tuple[int, int] = (224, 224)
    """(height, width) of the pictures; the aspect ratio is not kept, as in the published clips."""
    sample_rate: int = 16_000
    """Of the sound, which becomes mono."""
    max_missing_sound: float = 0.1
    """Seconds of a clip for which its track may hold no sound; more, and the clip is refused."""
    max_missing_pictures: float = 0.25
    """Seconds for which the pictures may end early, or stop after damage; more, and the clip is refused."""

    def __post_init__(self) -> None:
        if min(self.size) < 16 or any(side % 2 for side in self.size):
            raise ConfigError(f"size must be even and at least 16 pixels each way, got {self.size}")
        if self.sample_rate < 1000:
            raise ConfigError(f"sample_rate must be at least 1000 Hz, got {self.sample_rate}")
        if min(self.max_missing_sound, self.max_missing_pictures) < 0:
            raise ConfigError("max_missing_sound and max_missing_pictures must not be negative")


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of a long video, in seconds from its first picture."""

    key: str
    start: float
    end: float
