"""Agreement on videos with sound: a sound against itself is perfect, shifted and foreign sounds are chance."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from foleykit.audio.files import write_waveform
from foleykit.core.errors import MediaError
from foleykit.evaluation.real import (
    FLOW,
    GENERATED,
    OTHER_VIDEO,
    TIME_SHIFTED,
    RealProtocol,
    evaluate_real,
    labelled_onsets,
    recorded_onsets,
    recorded_videos,
)
from foleykit.evaluation.visual_impacts import VisualImpactConfig

RATE = 16_000
QUICK = RealProtocol(num_resamples=50)


def clicks(seed: int, seconds: float = 6.0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    waveform = 1e-3 * rng.standard_normal(int(seconds * RATE)).astype(np.float32)
    for time in np.cumsum(rng.uniform(0.4, 1.2, 20)):
        start = int(time * RATE)
        if start > len(waveform) - 2000:
            break
        waveform[start : start + 1600] += (0.5 * rng.standard_normal(1600) * np.exp(-np.arange(1600) / 300)).astype(
            np.float32
        )
    return np.clip(waveform, -1, 1)


def write_video(path: Path, waveform: NDArray[np.float32] | None) -> None:
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=10)
        pictures.width = pictures.height = 32
        pictures.pix_fmt = "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=RATE, layout="mono") if waveform is not None else None
        for _ in range(60):
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        container.mux(pictures.encode(None))
        if sound is not None and waveform is not None:
            frame = av.AudioFrame.from_ndarray((waveform[None] * 32767).astype(np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = RATE, 0
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for seed in range(6):
        write_video(folder / f"clip{seed}.mkv", clicks(seed))
    write_video(folder / "mute.mkv", None)
    return folder


def test_a_sound_agrees_with_itself_and_not_by_chance(videos: Path) -> None:
    report = evaluate_real(recorded_videos(videos), videos, protocol=QUICK)
    own, shifted, other = (report.row(name).estimates for name in (GENERATED, TIME_SHIFTED, OTHER_VIDEO))
    assert own["agreement_100ms"].value == own["agreement_60ms"].value == 1
    for chance in (shifted, other):
        assert chance["agreement_60ms"].value < chance["agreement_100ms"].value < 0.5
    above = report.row("generated minus shifted").estimates["agreement_100ms"]
    assert above.low > 0.5 and above.num_clips == 6
    assert list(report.protocol["left_out"]) == ["mute.mkv"]
    assert report.protocol["videos"]["clip0.mkv"]["f1_100ms"] == 1
    assert own["agreement_100ms_mean"].value == 1
    assert own["envelope_correlation"].value == pytest.approx(1)
    assert abs(shifted["envelope_correlation"].value) < 0.3 and abs(other["envelope_correlation"].value) < 0.3


def test_what_a_person_has_labelled_counts_instead_of_what_is_detected(videos: Path, tmp_path: Path) -> None:
    for path in videos.iterdir():
        shutil.copy(path, tmp_path)
    assert labelled_onsets(tmp_path / "clip0.mkv") is None
    times = recorded_onsets(tmp_path / "clip0.mkv", clicks(0), RATE)
    labels = tmp_path / "clip0.times.csv"
    labels.write_text("".join(f"{time:.3f},metal hit static\n" for time in [99.0, *times[1:]]), encoding="utf-8")
    np.testing.assert_allclose(recorded_onsets(tmp_path / "clip0.mkv", clicks(0), RATE), times[1:], atol=5e-4)
    found = evaluate_real(recorded_videos(tmp_path), tmp_path, protocol=QUICK).protocol["videos"]
    assert found["clip0.mkv"]["is_labelled"] and not found["clip1.mkv"]["is_labelled"]
    assert found["clip0.mkv"]["num_reference"] == len(times) - 1
    assert found["clip0.mkv"]["f1_100ms"] == pytest.approx(2 * (len(times) - 1) / (2 * len(times) - 1))


@pytest.mark.parametrize(
    ("line", "expected"), [("time,what", "a time in seconds"), ("", "a time"), ("-1,hit", "0 s or")]
)
def test_a_label_without_a_time_is_named_with_its_line(tmp_path: Path, line: str, expected: str) -> None:
    (tmp_path / "clip.times.csv").write_text(f"0.5,hit\n{line}\n", encoding="utf-8")
    with pytest.raises(MediaError, match=f"clip.times.csv, line 2: .*{expected}"):
        labelled_onsets(tmp_path / "clip.mp4")


def test_flow_is_a_row_of_its_own_and_finds_nothing_in_black_pictures(videos: Path) -> None:
    pytest.importorskip("cv2", reason="optical flow needs OpenCV: pip install 'foleykit[flow]'")
    report = evaluate_real(recorded_videos(videos), videos, protocol=replace(QUICK, impacts=VisualImpactConfig()))
    assert report.row(FLOW).estimates["agreement_100ms"].value == 0
    assert "envelope_correlation" not in report.row(FLOW).estimates
    assert report.protocol["videos"]["clip0.mkv"]["f1_100ms_flow"] == 0
    assert FLOW not in [row.name for row in evaluate_real(recorded_videos(videos), videos, protocol=QUICK).rows]


def test_a_foreign_sound_is_not_above_chance(videos: Path, tmp_path: Path) -> None:
    for seed in range(6):
        write_waveform(tmp_path / f"clip{seed}.wav", clicks(100 + seed), RATE)
    report = evaluate_real(recorded_videos(videos), tmp_path, protocol=QUICK)
    above = report.row("generated minus shifted").estimates["agreement_100ms"]
    assert above.low < 0.1 and report.row(GENERATED).estimates["agreement_100ms"].value < 0.5


def test_generated_videos_are_read_like_sounds(videos: Path, tmp_path: Path) -> None:
    for seed in range(3):
        shutil.copy(videos / f"clip{seed}.mkv", tmp_path)
    report = evaluate_real(recorded_videos(videos), tmp_path, protocol=QUICK)
    assert len(report.protocol["videos"]) == 3
    assert report.protocol["left_out"]["clip4.mkv"] == "no generated sound"


def test_only_videos_with_a_recording_of_their_own_count(tmp_path: Path) -> None:
    for name in ("b.mkv", "a.mkv", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in recorded_videos(tmp_path)] == ["a.mkv", "b.mkv"]
    (tmp_path / "metadata.csv").write_text("file,sound\na.mkv,made by a model\nb.mkv,recorded with the video\n")
    assert [path.name for path in recorded_videos(tmp_path)] == ["b.mkv"]
    (tmp_path / "metadata.csv").write_text("name,sound\na.mkv,none\n")
    with pytest.raises(MediaError, match="columns `file` and `sound`"):
        recorded_videos(tmp_path)
    with pytest.raises(MediaError, match="no such folder"):
        recorded_videos(tmp_path / "absent")


def test_too_few_videos_are_refused(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="0 videos can be compared"):
        evaluate_real(recorded_videos(videos), tmp_path, protocol=QUICK)
