from __future__ import annotations

import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from foleykit.audio.files import read_waveform, write_waveform
from foleykit.core.errors import InputError, MediaError, MediaWarning

RATE = 48_000
ENCODINGS = [("mp4", "aac"), ("mkv", "libopus"), ("webm", "libopus"), ("mkv", "flac"), ("mp3", "mp3"), ("m4a", "aac")]


def clicks(seconds: float = 4.0, at: tuple[float, ...] = (0.5, 1.75, 3.25)) -> np.ndarray:
    """Return stereo sound (2, S) with a short burst at each instant, half as loud in the right channel."""
    waveform = np.zeros(round(seconds * RATE), np.float32)
    burst = np.hanning(64) * np.sin(2 * np.pi * 3000 * np.arange(64) / RATE)
    for second in at:
        start = round(second * RATE)
        waveform[start - 32 : start + 32] = 0.8 * burst
    return np.stack([waveform, waveform / 2])


def encode(path: Path, waveform: np.ndarray, codec: str, *, delay: float = 0.0, picture: bool = False) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25) if picture else None
        if video is not None:
            video.width = video.height = 32
            video.pix_fmt = "yuv420p"
        stream = container.add_stream(codec, rate=RATE, layout="stereo")
        resampler = av.AudioResampler(format=stream.format, layout="stereo", rate=RATE, frame_size=1024)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(waveform), format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), round(delay * RATE)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
        for index in range(25 if video is not None else 0):
            still = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            still.pts, still.time_base = index, Fraction(1, 25)
            container.mux(video.encode(still))
        if video is not None:
            container.mux(video.encode(None))
    return path


def loudest_s(waveform: np.ndarray, rate: int, low: float, high: float) -> float:
    piece = waveform[0, round(low * rate) : round(high * rate)]
    envelope = np.convolve(np.abs(piece), np.hanning(64), "same")
    return low + envelope.argmax() / rate


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("num_channels", [1, 2, 6])
def test_what_is_written_is_read_back(tmp_path, suffix, num_channels):
    waveform = np.random.default_rng(0).uniform(-1, 1, (num_channels, 4567)).astype(np.float32)
    path = tmp_path / f"sound{suffix}"
    write_waveform(path, waveform, 22_050)
    read, rate = read_waveform(path)
    assert rate == 22_050 and read.dtype == np.float32
    np.testing.assert_allclose(read, waveform, atol=0 if suffix == ".wav" else 2**-23)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_float_wav_keeps_what_passes_full_scale_and_flac_warns(tmp_path):
    loud = np.array([[0.0, 1.5, -2.0]], np.float32)
    write_waveform(tmp_path / "a.wav", loud, 16_000)
    np.testing.assert_array_equal(read_waveform(tmp_path / "a.wav")[0], loud)
    with pytest.warns(MediaWarning, match="2 samples"):
        write_waveform(tmp_path / "a.flac", loud, 16_000)


@pytest.mark.parametrize(("container", "codec"), ENCODINGS)
def test_sound_is_where_it_was_in_every_container(tmp_path, container, codec):
    path = encode(tmp_path / f"sound.{container}", clicks(), codec)
    waveform, rate = read_waveform(path)
    assert rate == RATE and waveform.shape[0] == 2
    for second in (0.5, 1.75, 3.25):
        assert loudest_s(waveform, rate, second - 0.3, second + 0.3) == pytest.approx(second, abs=0.0015)


@pytest.mark.parametrize(("container", "codec"), ENCODINGS)
def test_a_span_is_the_same_samples_as_in_the_whole(tmp_path, container, codec):
    path = encode(tmp_path / f"sound.{container}", clicks(), codec)
    whole, _ = read_waveform(path)
    span, _ = read_waveform(path, start=1.6, seconds=0.4)
    assert span.shape == (2, round(0.4 * RATE))
    assert loudest_s(span, RATE, 0, 0.4) == pytest.approx(0.15, abs=0.0015)
    first = round(1.6 * RATE)
    # Matroska rounds times to 1 ms, and Opus packets do not start at whole milliseconds of the sound.
    reach = RATE // 1000 if codec == "libopus" else 0
    errors = [
        np.abs(span[:, 100:-100] - whole[:, first + shift + 100 : first + shift + span.shape[1] - 100]).max()
        for shift in range(-reach, reach + 1)
    ]
    assert min(errors) < 0.02


def test_a_track_that_starts_later_than_the_picture_keeps_its_delay(tmp_path):
    path = encode(tmp_path / "late.mp4", clicks(1.0, (0.3,)), "aac", delay=0.5, picture=True)
    waveform, rate = read_waveform(path)
    assert not waveform[:, : round(0.45 * rate)].any()
    assert loudest_s(waveform, rate, 0.5, 1.2) == pytest.approx(0.8, abs=0.0015)


@pytest.mark.parametrize("suffix", ["wav", "mp4"])
def test_rate_and_channels_are_converted(tmp_path, suffix):
    path = tmp_path / f"sound.{suffix}"
    if suffix == "wav":
        write_waveform(path, clicks(), RATE)
    else:
        encode(path, clicks(), "aac")
    waveform, rate = read_waveform(path, sample_rate=16_000, mono=True)
    assert rate == 16_000 and waveform.shape[0] == 1
    assert waveform.shape[1] == pytest.approx(4 * 16_000, abs=400)
    assert loudest_s(waveform, rate, 1.5, 2) == pytest.approx(1.75, abs=0.0015)


def test_a_truncated_file_is_used_as_far_as_it_goes(tmp_path):
    whole = encode(
        tmp_path / "whole.mkv", np.random.default_rng(0).uniform(-0.5, 0.5, (2, 4 * RATE)).astype("f4"), "flac"
    )
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MediaWarning)
        waveform, _ = read_waveform(cut)
    assert waveform.shape[1] == pytest.approx(2 * RATE, rel=0.15)
    np.testing.assert_allclose(waveform[:, :RATE], read_waveform(whole)[0][:, :RATE], atol=1e-6)


def test_a_wav_with_another_suffix_and_a_flac_named_wav_are_read(tmp_path):
    sound = clicks()
    for name, kind in (("sound.dat", "WAV"), ("sound.wav", "FLAC")):
        soundfile.write(tmp_path / name, sound.T, RATE, format=kind)
        assert read_waveform(tmp_path / name)[0].shape == sound.shape


def test_samples_that_are_no_numbers_become_silence(tmp_path):
    soundfile.write(tmp_path / "nan.wav", np.array([0.5, np.nan, np.inf], np.float32), RATE, subtype="FLOAT")
    with pytest.warns(MediaWarning, match="not finite"):
        waveform, _ = read_waveform(tmp_path / "nan.wav")
    np.testing.assert_array_equal(waveform, [[0.5, 0, 0]])


def test_bad_files_and_spans_are_refused_in_one_line(tmp_path):
    (tmp_path / "text.mp4").write_text("not a movie")
    (tmp_path / "empty.wav").touch()
    silent = tmp_path / "silent.mp4"
    with av.open(str(silent), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    for name, message in (
        ("absent.wav", "no such file"),
        ("text.mp4", "not a media file"),
        ("empty.wav", "not a media file"),
        ("silent.mp4", "holds no sound"),
    ):
        with pytest.raises(MediaError, match=message) as caught:
            read_waveform(tmp_path / name)
        assert "\n" not in str(caught.value)
    write_waveform(tmp_path / "short.wav", clicks(), RATE)
    with pytest.raises(MediaError, match="no sound between 9 s and its end"):
        read_waveform(tmp_path / "short.wav", start=9)
    with pytest.raises(InputError):
        read_waveform(tmp_path / "short.wav", start=-1)


def test_nothing_is_written_for_a_waveform_that_makes_no_sense(tmp_path):
    for waveform in (np.zeros((1, 0), np.float32), np.array([[np.nan]], np.float32)):
        with pytest.raises(InputError):
            write_waveform(tmp_path / "a.wav", waveform, RATE)
    with pytest.raises(InputError, match=r"\.wav or \.flac"):
        write_waveform(tmp_path / "a.mp3", clicks(), RATE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_blocks_are_written_as_the_whole_is(tmp_path, name):
    loud = 1.5 * clicks()
    (tmp_path / "blocks").mkdir()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MediaWarning)
        write_waveform(tmp_path / name, loud, RATE)
        write_waveform(tmp_path / "blocks" / name, iter(np.split(loud, [10, 10, 9000], axis=1)), RATE)
    assert len({str(one.message).split(": ")[1] for one in caught}) == (name == "a.flac")
    np.testing.assert_array_equal(read_waveform(tmp_path / "blocks" / name)[0], read_waveform(tmp_path / name)[0])
    with pytest.raises(InputError):
        write_waveform(tmp_path / name, iter([loud, np.array([[np.nan]], np.float32)]), RATE)
