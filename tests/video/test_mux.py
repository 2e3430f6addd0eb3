"""A new sound changes nothing but the sound, starts and ends with the pictures, and leaves nothing half-written."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fixtures.media import BLUE, RED, Clip, click, click_position, indices_of, picture, regular, write_clip
from foleykit.core.errors import InputError, MediaError, MediaWarning, UsageError
from foleykit.video.edits import trim_edit_list
from foleykit.video.encode import write_video
from foleykit.video.info import Orientation
from foleykit.video.io import VideoReader
from foleykit.video.mux import mux, packet_hashes, picture_digest
from foleykit.video.output import AudioCodec, audio_codec_for, suffix_for
from foleykit.video.probe import TAGS_AS_BYTES, probe
from foleykit.video.sound import read_audio_track

RATE = 16_000


def decoded_samples(path: Path) -> int:
    """Return how many samples a plain decoder gives, without our trimming."""
    with av.open(str(path)) as container:
        return sum(frame.samples for frame in container.decode(audio=0))


def shown(path: Path, size: tuple[int, int] = (48, 64)) -> list[int]:
    """Return the picture indices at 25 frames/s."""
    return indices_of(np.concatenate(list(VideoReader(path, fps=25, size=size))))


def check_sound(source: Path, output: Path, position: int = RATE) -> None:
    """Assert that the click lies at `position` samples at `RATE` and that sound and pictures last equally long."""
    before, after = probe(source), probe(output)
    track = read_audio_track(output)
    assert track is not None
    waveform, rate = track
    assert abs(Fraction(click_position(waveform), rate) - Fraction(position, RATE)) <= Fraction(2, RATE)
    assert after.start_time == 0
    assert abs(after.duration - before.duration) <= Fraction(1, 1000)
    assert 0 <= decoded_samples(output) - round(before.duration * rate) <= 1024
    assert after.audio is not None
    assert after.audio.start == 0


@pytest.mark.parametrize(
    ("suffix", "video", "num_b_frames", "audio"),
    [
        (".mp4", "mpeg4", 0, None),
        (".mp4", "libx264", 2, "flac"),
        (".mp4", "libx264", 2, "opus"),
        (".m4v", "libx264", 2, "aac"),
        (".mov", "libx264", 2, None),
        (".mov", "mpeg4", 0, "pcm"),
        (".mkv", "libx264", 2, None),
        (".mkv", "mpeg4", 2, "aac"),
        (".mkv", "mpeg4", 0, "flac"),
        (".mkv", "mpeg4", 0, "pcm"),
        (".webm", "libvpx-vp9", 0, None),
        (".3gp", "mpeg4", 0, None),
    ],
)
def test_packets_are_copied_and_sound_is_exact(
    tmp_path: Path, suffix: str, video: str, num_b_frames: int, audio: AudioCodec | None
) -> None:
    """Also where the pictures do not start at 0 and the old sound is longer."""
    old_sound = {".webm": "libopus", ".mkv": "libopus"}.get(suffix, "aac")
    clip = Clip(
        times=regular(50, start=Fraction(2, 25)),
        codec=video,
        num_b_frames=num_b_frames,
        audio_codec=old_sound,
        audio_seconds=Fraction(3),
        click_seconds=Fraction(1, 5),
    )
    source = write_clip(tmp_path / f"in{suffix}", clip)
    output = tmp_path / f"out{suffix}"
    result = mux(source, click(2 * RATE, RATE), RATE, output, audio_codec=audio)
    assert result.is_picture_copied
    assert result.audio_codec == audio_codec_for(output, audio)
    assert result.num_samples == round(probe(source).duration * result.sample_rate)
    assert packet_hashes(output) == packet_hashes(source)
    assert picture_digest(output) == picture_digest(source)
    assert shown(output) == list(range(50))
    check_sound(source, output)
    with av.open(str(output)) as container:
        assert len(container.streams.audio) == 1


@pytest.mark.parametrize("seconds", [1.5, 2.0, 3.0])
def test_sound_is_fitted_to_the_pictures(tmp_path: Path, seconds: float) -> None:
    source = write_clip(tmp_path / "in.mp4", Clip(times=regular(50)))
    result = mux(source, click(round(seconds * RATE), RATE), RATE, tmp_path / "out.mov", audio_codec="pcm")
    assert result.num_samples == 2 * RATE == decoded_samples(tmp_path / "out.mov")


def test_chunks_and_whole_waveforms_give_the_same_file(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mkv", Clip(times=regular(50)))
    noise = (0.1 * np.random.default_rng(0).standard_normal((2, 2 * RATE))).astype(np.float32)
    mux(source, noise, RATE, tmp_path / "whole.mkv")
    mux(source, (noise[:, i : i + 999] for i in range(0, 2 * RATE, 999)), RATE, tmp_path / "parts.mkv")
    whole, parts = read_audio_track(tmp_path / "whole.mkv"), read_audio_track(tmp_path / "parts.mkv")
    assert whole is not None and parts is not None
    assert np.abs(whole[0] - parts[0]).max() < 1e-3
    assert np.corrcoef(whole[0][0, ::3], noise[0])[0, 1] > 0.9


def test_lossless_sound_comes_back_to_24_bits(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", Clip(times=regular(25)))
    noise = np.random.default_rng(0).uniform(-1, 1, (2, RATE)).astype(np.float32)
    for name, codec in (("a.mp4", "flac"), ("b.mov", "pcm"), ("c.mkv", "flac")):
        mux(source, noise, RATE, tmp_path / name, audio_codec=codec)
        track = read_audio_track(tmp_path / name)
        assert track is not None
        assert np.abs(track[0] - noise).max() <= 2**-23


@pytest.mark.parametrize(("suffix", "codec"), [(".avi", "mpeg4"), (".ts", "libx264"), (".ts", "mpeg2video")])
def test_other_containers_are_remuxed(tmp_path: Path, suffix: str, codec: str) -> None:
    clip = Clip(times=regular(50), codec=codec, time_base=Fraction(1, 25))
    source = write_clip(tmp_path / f"in{suffix}", clip)
    output = tmp_path / f"out{suffix_for(probe(source))}"
    assert mux(source, click(2 * RATE, RATE), RATE, output).is_picture_copied
    assert shown(output) == list(range(50))
    check_sound(source, output)


@pytest.mark.parametrize(
    ("source_name", "codec", "output_name"),
    [
        ("in.mp4", "libx264", "out.webm"),
        ("in.webm", "libvpx-vp9", "out.mov"),
        ("odd.webm", "libvpx-vp9", "out.3gp"),
    ],
)
def test_pictures_are_encoded_again_only_without_another_way(
    tmp_path: Path, source_name: str, codec: str, output_name: str
) -> None:
    size = (97, 131) if source_name.startswith("odd") else (96, 128)
    turn = Orientation(flip_x=True, flip_y=True)
    matrix = turn.matrix if source_name.endswith("mp4") else None
    clip = Clip(times=regular(50, start=Fraction(1, 5)), codec=codec, size=size, display_matrix=matrix)
    source, output = write_clip(tmp_path / source_name, clip), tmp_path / output_name
    result = mux(source, click(2 * RATE, RATE), RATE, output)
    assert not result.is_picture_copied
    assert probe(output).orientation == probe(source).orientation
    assert shown(output) == shown(source)
    check_sound(source, output)
    frame = next(iter(VideoReader(output, fps=25, size=(48, 64))))[0].astype(int)
    left, right = (frame[8, 8], frame[8, -8]) if matrix else (frame[40, -8], frame[40, 8])
    assert np.abs(left - BLUE).max() < 12
    assert np.abs(right - RED).max() < 12


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_hidden_pictures_stay_hidden(tmp_path: Path, suffix: str) -> None:
    clip = Clip(times=regular(60, start=Fraction(-10, 25)), codec="libx264", num_b_frames=2)
    source = write_clip(tmp_path / "in.mp4", clip)
    trim_edit_list(source, Fraction(8, 5))
    output = tmp_path / f"out{suffix}"
    result = mux(source, click(2 * RATE, RATE), RATE, output)
    assert result.is_picture_copied == (suffix != ".mkv")
    assert shown(source) == shown(output) == list(range(10, 50))
    check_sound(source, output)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_uneven_pictures_keep_their_times(tmp_path: Path, suffix: str) -> None:
    times = [Fraction(t, 1000) for t in (0, 33, 66, 100, 433, 466, 1700, 1733, 1766)]
    source = write_clip(tmp_path / "in.mp4", Clip(times=times, last_duration=Fraction(77, 1000)))
    output = tmp_path / f"out{suffix}"
    assert mux(source, click(2 * RATE, RATE), RATE, output).is_picture_copied
    assert shown(output) == shown(source)
    check_sound(source, output)


def test_orientation_tags_and_colours_are_kept(tmp_path: Path) -> None:
    turn = Orientation(transpose=True, flip_x=True)
    tags = {"title": "\udcfe\udcff caf\u00e9", "comment": "kept"}
    clip = Clip(times=regular(10), codec="libx264", display_matrix=turn.matrix, tags=tags)
    for suffix in (".mp4", ".mkv"):
        source, output = write_clip(tmp_path / f"in{suffix}", clip), tmp_path / f"out{suffix}"
        mux(source, click(RATE, RATE // 5), RATE, output)
        assert probe(output).orientation == turn
        with av.open(str(output), **TAGS_AS_BYTES) as container:
            found = {key.lower(): value for key, value in container.metadata.items()}
        assert {key: found[key] for key in tags} == tags


def test_hevc_keeps_the_tag_that_players_need(tmp_path: Path) -> None:
    clip = Clip(times=regular(10), codec="libx265")
    source = write_clip(tmp_path / "in.mkv", clip)
    mux(source, click(RATE, RATE // 5), RATE, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_subtitles_and_chapters_are_kept(tmp_path: Path) -> None:
    """Or left out with a warning where the container has no place for them."""
    clip = write_clip(tmp_path / "plain.mkv", Clip(times=regular(50)))
    (tmp_path / "text.srt").write_text("1\n00:00:00,500 --> 00:00:01,200\nhello\n")
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    with (
        av.open(str(clip)) as reading,
        av.open(str(tmp_path / "text.srt")) as lines,
        av.open(str(source), "w") as out,
    ):
        pictures = out.add_stream_from_template(reading.streams.video[0], opaque=True)
        text = out.add_stream_from_template(lines.streams.subtitles[0])
        chapter = {"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}}
        out.set_chapters([chapter])
        for packets, target in ((reading.demux(video=0), pictures), (lines.demux(subtitles=0), text)):
            for packet in packets:
                if packet.size:
                    packet.stream = target
                    out.mux(packet)
    mux(source, click(2 * RATE, RATE), RATE, output)
    with av.open(str(output)) as container:
        said = [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(subtitles=0) if p.size]
        assert said == [(0.5, b"hello")]
        assert [chapter["metadata"] for chapter in container.chapters()] == [{"title": "one"}]
    with pytest.warns(MediaWarning, match="leaves out 1 subtitle"):
        mux(source, click(2 * RATE, RATE), RATE, tmp_path / "out.mov")


def test_an_existing_file_is_kept_without_overwrite(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", Clip(times=regular(50)))
    digest = picture_digest(source)
    with pytest.raises(UsageError, match="exists already"):
        mux(source, click(RATE, 5), RATE, source)
    mux(source, click(2 * RATE, RATE), RATE, source, overwrite=True)
    assert picture_digest(source) == digest
    assert probe(source).has_audio


@pytest.mark.parametrize(
    ("output", "codec", "says"),
    [
        ("out.avi", None, "use one of .mp4"),
        ("out", None, "use one of .mp4"),
        ("out.webm", "aac", "cannot hold aac sound; it holds opus"),
        ("missing/out.mp4", None, "folder does not exist"),
    ],
)
def test_impossible_outputs_are_refused(tmp_path: Path, output: str, codec: AudioCodec | None, says: str) -> None:
    source = write_clip(tmp_path / "in.mp4", Clip(times=regular(5)))
    with pytest.raises(UsageError, match=says):
        mux(source, click(RATE, 5), RATE, tmp_path / output, audio_codec=codec)


def test_impossible_waveforms_are_refused(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", Clip(times=regular(5)))
    for waveform in (np.zeros(100, np.float32), np.zeros((100, 2), np.float32)):
        with pytest.raises(InputError, match="channels, samples"):
            mux(source, waveform, RATE, tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MediaError])
def test_an_interruption_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    """Neither a new file nor a changed old one."""

    def broken() -> Iterator[NDArray[np.float32]]:
        yield click(RATE, 100)
        raise error("stop")

    source = write_clip(tmp_path / "in.mp4", Clip(times=regular(50)))
    old = tmp_path / "old.mp4"
    old.write_bytes(b"precious")
    for output in (tmp_path / "out.mp4", old):
        with pytest.raises(error):
            mux(source, broken(), RATE, output, overwrite=True)
    with pytest.raises(error):
        write_video(tmp_path / "new.mkv", (np.zeros((64, 64, 3), np.uint8) for _ in range(9)), 25, broken(), RATE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "old.mp4"]
    assert old.read_bytes() == b"precious"


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv"])
def test_written_videos_come_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"made{suffix}"
    chunks = (np.stack([picture(i, (97, 131)) for i in range(k, k + 10)]) for k in range(0, 50, 10))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_video(path, chunks, 25, click(2 * RATE, RATE), RATE)
    assert shown(path) == list(range(50))
    assert abs(probe(path).duration - 2) <= Fraction(1, 1000)
    track = read_audio_track(path)
    assert track is not None
    assert abs(click_position(track[0]) / track[1] - 1) < 1e-4


def test_a_video_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures"):
        write_video(tmp_path / "none.mp4", [], 25)
    assert not list(tmp_path.iterdir())
