"""The sound of a video starts with its first picture, lasts as long, and lies where it was recorded."""

from __future__ import annotations

import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fixtures.media import Clip, click_position, overwrite, regular, write_clip
from foleykit.core.errors import MediaWarning
from foleykit.video.edits import trim_edit_list
from foleykit.video.probe import probe
from foleykit.video.sound import read_audio_track


def read(path: Path) -> tuple[NDArray[np.float32], int]:
    """Return the sound, treating any warning as an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        track = read_audio_track(path)
    assert track is not None
    return track


@pytest.mark.parametrize(
    ("suffix", "codec", "sample_rate", "tolerance"),
    [
        (".mp4", "aac", 44_100, 1),
        (".mp4", "aac", 8000, 1),
        (".mp4", "mp3", 48_000, 2),
        (".mp4", "flac", 48_000, 0),
        (".mov", "pcm_s16le", 48_000, 0),
        (".mov", "pcm_s24le", 32_000, 0),
        (".mkv", "libopus", 48_000, 2),
        (".mkv", "aac", 48_000, 48),
        (".webm", "libopus", 48_000, 2),
        (".avi", "pcm_u8", 48_000, 0),
        (".ts", "mp2", 48_000, 600),
    ],
)
def test_a_click_comes_back_where_it_was(
    tmp_path: Path, suffix: str, codec: str, sample_rate: int, tolerance: int
) -> None:
    """Encoder priming is taken off where the container tells it; a transport stream has no means to."""
    video = "libvpx-vp9" if suffix == ".webm" else "mpeg4"
    clip = Clip(times=regular(50), codec=video, time_base=Fraction(1, 25), audio_codec=codec, sample_rate=sample_rate)
    waveform, rate = read(write_clip(tmp_path / f"clip{suffix}", clip))
    assert rate == sample_rate
    assert waveform.shape == (1, round(probe(tmp_path / f"clip{suffix}").duration * rate))
    assert waveform.dtype == np.float32
    assert abs(click_position(waveform) - rate) <= tolerance
    assert 0.5 < np.abs(waveform).max() < 1.2


@pytest.mark.parametrize("audio_start", [Fraction(-3, 10), Fraction(3, 4)])
@pytest.mark.parametrize("picture_start", [Fraction(0), Fraction(2, 5)])
def test_an_early_or_late_track_keeps_its_offset(
    tmp_path: Path, audio_start: Fraction, picture_start: Fraction
) -> None:
    clip = Clip(
        times=regular(50, start=picture_start),
        audio_codec="pcm_s16le",
        audio_start=audio_start + picture_start,
        click_seconds=Fraction(1) + picture_start,
    )
    path = write_clip(tmp_path / "offset.mov", clip)
    waveform, rate = read(path)
    assert waveform.shape[1] == 2 * rate
    assert abs(click_position(waveform) - rate) <= 48


def test_an_edit_list_moves_sound_and_pictures_together(tmp_path: Path) -> None:
    clip = Clip(times=regular(60, start=Fraction(-10, 25)), audio_codec="aac", click_seconds=Fraction(1, 2))
    path = write_clip(tmp_path / "edited.mp4", clip)
    trim_edit_list(path, Fraction(6, 5))
    waveform, rate = read(path)
    assert waveform.shape[1] == round(Fraction(6, 5) * rate)
    assert abs(click_position(waveform) - rate // 2) <= 1


@pytest.mark.parametrize("num_channels", [1, 2, 6])
def test_channels_are_kept(tmp_path: Path, num_channels: int) -> None:
    clip = Clip(times=regular(50), audio_codec="aac", num_channels=num_channels)
    waveform, _ = read(write_clip(tmp_path / "clip.mp4", clip))
    assert waveform.shape[0] == num_channels


def test_silence_is_no_track(tmp_path: Path) -> None:
    assert read_audio_track(write_clip(tmp_path / "silent.mp4", Clip(times=regular(5)))) is None


def test_a_track_without_description_is_no_track(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "nodesc.mp4", Clip(times=regular(50), audio_codec="aac"))
    data = path.read_bytes()
    overwrite(path, [(data.index(b"mp4a") - 16, 4)])
    with pytest.warns(MediaWarning, match=r"nodesc.mp4 is treated as silent"):
        assert read_audio_track(path) is None
    assert probe(path).num_frames == 50
