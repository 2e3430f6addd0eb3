"""What one simulated long video looks like: its length, its picture and how finely physics is stepped."""

from __future__ import annotations

from dataclasses import dataclass

from foleykit.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class WorldConfig:
    """Length, picture and quality of a long video; the seed and the index say everything else."""

    seconds: float = 12.0
    """Length of the long video."""
    video_fps: float = 25.0
    """Frames per second delivered; the camera's own rate is drawn per video and resampled to the nearest frame."""
    frame_size: tuple[int, int] = (96, 96)
    """(height, width) of the pictures."""
    map_stride: int = 5
    """Pictures per surface map; map k belongs to picture k map_stride + map_stride // 2."""
    map_size: int = 24
    """Cells of a surface map in each direction."""
    physics_step: float = 0.002
    """Seconds per physics step."""
    shadows: bool = False
    """Draw cast shadows: several times slower."""
    multisampling: int = 0
    """Samples per pixel against jagged edges; 0 is fastest."""

    def __post_init__(self) -> None:
        if not 1.0 <= self.seconds <= 600.0:
            raise ConfigError(f"seconds must be 1 to 600, got {self.seconds:g}")
        if not 1.0 <= self.video_fps <= 120.0:
            raise ConfigError(f"video_fps must be 1 to 120, got {self.video_fps:g}")
        if min(self.frame_size) < 16 or max(self.frame_size) > 4096:
            raise ConfigError(f"frame_size must be 16 to 4096 pixels each way, got {self.frame_size}")
        if not 0.0005 <= self.physics_step <= 0.004:
            raise ConfigError(f"physics_step must be 0.0005 to 0.004 seconds, got {self.physics_step:g}")
        if self.map_stride < 1 or not 1 <= self.map_size <= 1024:
            raise ConfigError(
                f"map_stride must be at least 1 and map_size 1 to 1024, got {self.map_stride} and {self.map_size}"
            )
        if self.multisampling not in (0, 2, 4, 8, 16):
            raise ConfigError(f"multisampling must be 0, 2, 4, 8 or 16, got {self.multisampling}")

    @property
    def num_steps(self) -> int:
        """Physics steps that cover the video."""
        return round(self.seconds / self.physics_step)

    @property
    def num_video_frames(self) -> int:
        """Frames delivered."""
        return max(1, round(self.seconds * self.video_fps))
