"""Every file of a folder of real, unusual and damaged videos ends in a right result or in one clear error line.

The folder is named by the environment variable FOLEYKIT_MEDIA, or is `../shared/media` beside the repository.
"""

from __future__ import annotations

import csv
import os
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fixtures.media import click, click_position
from foleykit.core.errors import MediaError, MediaWarning
from foleykit.video.io import VideoReader
from foleykit.video.mux import mux, packet_hashes
from foleykit.video.output import suffix_for
from foleykit.video.probe import probe
from foleykit.video.sound import read_audio_track

ROOT = Path(os.environ.get("FOLEYKIT_MEDIA", Path(__file__).parents[3] / "shared" / "media"))
RATE = 48_000
NO_MEDIA = f"the folder of real recordings, {ROOT}, is absent"
LONGEST_SECONDS = 12

REFUSED = {
    "audio_only.mp4": "no picture stream",
    "audio_only_amr_8k.3gp": "no picture stream",
    "invalid_vp9.webm": "not one of 51 pictures",
    "text_named.mp4": "cannot be opened as media",
    "truncated.mp4": "cannot be opened as media",
    "zero_bytes.mp4": "empty",
}
PARTIAL = {
    "corrupted_h264.mp4": r"used 4.[89] of 5.0 s",
    "invalid_nalu.mp4": "used 0.97 of 1.00 s",
    "no_timescale.mp4": r"used \d.\d of 6.0 s",
    "truncated_index_first.mp4": "used 7.7 of 13.0 s",
}
SILENT = {"missing_stsd.mp4": "treated as silent"}
ROTATION = {"hevc10_rotated_edit_list.mp4": 90, "phone_vfr_rotated_180.mp4": 180}
# The table of the folder gives the length of the whole file there, or of nominal frames; these are the pictures' own.
DURATION = {
    "audio_51.mp4": 5.280,
    "audio_8k_stereo.mp4": 13.0,
    "av1_mono.mp4": 1.001,
    "interlaced_mpeg2.ts": 6.633,
    "missing_stsd.mp4": 1.001,
    "no_duration.webm": 4.938,
    "non_utf8_metadata.3gp": 5.020,
    "one_frame.mp4": 0.040,
    "truncated_index_first.mp4": 7.680,
    "uhd_8k_hevc.mp4": 0.333,
    "vfr_with_gap.mp4": 5.972,
    "vp9_square_no_audio.webm": 3.0,
}


def rows(folder: str) -> dict[str, dict[str, str]]:
    """Return the folder's table by file name, empty when it is absent."""
    table = ROOT / folder / "metadata.csv"
    if not table.exists():
        return {}
    with table.open(newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


ODD, VIDEOS = rows("odd"), rows("videos")
needs_odd = pytest.mark.skipif(not ODD, reason=NO_MEDIA)
needs_videos = pytest.mark.skipif(not VIDEOS, reason=NO_MEDIA)


def check_mux(source: Path, output: Path) -> None:
    """Give `source` one click, and assert that the pictures are the same packets and that sound and pictures agree."""
    info = probe(source)
    position = min(RATE // 2, round(info.duration * RATE) // 2)
    result = mux(info, click(round(info.duration * RATE), position), RATE, output)
    assert result.is_picture_copied
    assert packet_hashes(output) == packet_hashes(source)
    after = probe(output)
    assert after.start_time == 0
    assert abs(after.duration - info.duration) <= Fraction(1, 1000)
    assert after.rotation == info.rotation
    assert after.num_frames == info.num_frames
    track = read_audio_track(after)
    assert track is not None
    assert track[0].shape[1] == round(after.duration * track[1])
    assert abs(result.num_samples - info.duration * result.sample_rate) <= Fraction(1, 2)
    assert abs(Fraction(click_position(track[0]), track[1]) - Fraction(position, RATE)) <= Fraction(1, 8000)


@needs_odd
@pytest.mark.parametrize("name", sorted(set(ODD) - set(REFUSED)))
def test_odd_files_work(tmp_path: Path, name: str) -> None:
    source = ROOT / "odd" / name
    info = probe(source)
    assert info.rotation == ROTATION.get(name, 0)
    assert float(info.duration) == pytest.approx(DURATION.get(name) or float(ODD[name]["duration_s"]), abs=0.0015)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        end = min(info.duration, Fraction(LONGEST_SECONDS)) if name not in PARTIAL else None
        reader = VideoReader(info, fps=25, size=(32, 32), end=end)
        frames = np.concatenate(list(reader))
        track = read_audio_track(info)
    assert len(frames) == len(reader) == max(1, -int(-(end or info.duration) * 25 // 1))
    expected = [table[name] for table in (PARTIAL, SILENT) if name in table]
    assert len(caught) == len(expected)
    for warning, text in zip(caught, expected, strict=True):
        assert warning.category is MediaWarning
        with pytest.warns(MediaWarning, match=text):
            warnings.warn(warning.message, stacklevel=1)
    has_sound = bool(ODD[name]["audio_codec"]) and name not in SILENT
    assert (track is not None) == has_sound
    if track is not None:
        assert track[0].shape[1] == round(info.duration * track[1])
    check_mux(source, tmp_path / f"out{suffix_for(info)}")


@needs_odd
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_odd_files_are_refused(name: str) -> None:
    with pytest.raises(MediaError, match=REFUSED[name]) as caught:
        probe(ROOT / "odd" / name)
    assert "\n" not in str(caught.value)


@needs_odd
def test_sound_that_starts_late_stays_late() -> None:
    track = read_audio_track(ROOT / "odd" / "audio_starts_late.mp4")
    assert track is not None
    waveform, rate = track
    assert np.abs(waveform[:, : round(0.72 * rate)]).max() == 0
    assert np.abs(waveform[:, round(0.74 * rate) : round(0.85 * rate)]).max() > 0.01


@needs_videos
@pytest.mark.parametrize("name", sorted(VIDEOS))
def test_videos_keep_their_pictures(tmp_path: Path, name: str) -> None:
    source = ROOT / "videos" / name
    row = VIDEOS[name]
    info = probe(source)
    assert float(info.duration) == pytest.approx(float(row["duration_s"]), abs=0.002)
    assert info.num_frames == int(row["frames"])
    assert (info.width, info.height) == (int(row["width"]), int(row["height"]))
    check_mux(source, tmp_path / f"out{suffix_for(info)}")
