from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from foleykit.audio.files import read_waveform
from foleykit.core.errors import ConfigError, InputError
from foleykit.data.corpora.planted import PLANTED_KINDS, planted_sound
from foleykit.data.filtering import (
    STAGES,
    FilterConfig,
    filter_clips,
    judge,
    loudest_db,
    write_filter_report,
)
from foleykit.data.manifest import ClipRecord, Manifest, read_manifest
from foleykit.data.taggers import SoundTags
from foleykit.video.encode import write_video
from foleykit.world.modal import impact

RATE = 16_000
STAGE_OF = {"silence": "silence", "speech": "social", "music": "speech-or-music", "low-energy": "low-energy"}


def blows(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Return (S,) of somebody striking a few bodies in a quiet room."""
    sound = 10 ** (-60 / 20) * rng.standard_normal(round(seconds * RATE)).astype(np.float32)
    for time in np.arange(0.3, seconds - 0.5, 0.6) + rng.uniform(0, 0.2):
        one = impact(
            material=("wood", "metal", "ceramic")[rng.integers(3)], striker="wood", shape="plate", size=0.3,
            strength=0.3, body_seed=int(rng.integers(1000)), sample_rate=RATE, rng=rng,
        )  # fmt: skip
        first = round(time * RATE)
        part = one[: sound.size - first]
        sound[first : first + part.size] += 0.3 * part
    return sound


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> tuple[Path, Manifest, dict[str, str]]:
    """Return a folder of two long videos, the clips in them, and the stage that should drop each."""
    folder = tmp_path_factory.mktemp("filter")
    records, expected = [], {}
    for video in range(2):
        rng = np.random.default_rng(video)
        sounds = []
        for number, kind in enumerate(["good", *PLANTED_KINDS, "good"]):
            size = 3 * RATE
            sounds.append(blows(3.0, rng) if kind == "good" else planted_sound(kind, size, RATE, rng))
            record = ClipRecord(
                clip_id=f"v{video}_{number}", video_id=f"v{video}", path=f"v{video}.mp4",
                start=3.0 * number + 0.1, end=3.0 * number + 2.9,
            )  # fmt: skip
            records.append(record)
            expected[record.clip_id] = STAGE_OF.get(kind, "")
        frames = (np.full((32, 32, 3), index % 200, np.uint8) for index in range(5 * 18))
        write_video(folder / f"v{video}.mp4", frames, 5, np.concatenate(sounds)[None], RATE)
    return folder, Manifest(records=tuple(records)), expected


def test_each_stage_drops_what_was_planted_for_it(corpus):
    videos, manifest, expected = corpus
    result = filter_clips(manifest, videos, workers=0)
    assert {verdict.clip_id: verdict.stage or "" for verdict in result.verdicts} == expected
    assert result.stage_counts() == dict.fromkeys(STAGES, 2)
    assert [record.clip_id for record in result.kept] == ["v0_0", "v0_5", "v1_0", "v1_5"]


def test_processes_do_not_change_the_result(corpus):
    videos, manifest, _ = corpus
    config = FilterConfig(clips_per_task=1)
    one = filter_clips(manifest, videos, config, workers=0)
    two = filter_clips(manifest, videos, config, workers=2)
    assert one.verdicts == two.verdicts and one.kept == two.kept


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'foleykit[cluster]'")
def test_ray_does_not_change_the_result(corpus):
    videos, manifest, _ = corpus
    config = FilterConfig(clips_per_task=1)
    local = filter_clips(manifest, videos, config, workers=0)
    ray = filter_clips(manifest, videos, config, engine="ray", workers=2)
    assert local.verdicts == ray.verdicts and local.kept == ray.kept


def test_the_report_counts_lists_and_lets_listen(corpus, tmp_path):
    videos, manifest, expected = corpus
    (videos / "broken.mp4").write_bytes(b"0" * 500)
    broken = ClipRecord(clip_id="b", video_id="b", path="broken.mp4", start=0, end=3)
    result = filter_clips(Manifest(records=(*manifest.records, broken)), videos, workers=0)
    write_filter_report(result, videos, tmp_path, num_samples=1)
    assert read_manifest(tmp_path / "kept.csv").records == result.kept
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["num_judged"], report["num_kept"], report["rejected"]) == (12, 4, {"corrupt-video": 1})
    assert "b,corrupt-video" in (tmp_path / "rejected.csv").read_text()
    lines = [json.loads(line) for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert {line["clip_id"]: line["stage"] for line in lines} == expected
    samples = {path.relative_to(tmp_path / "samples").as_posix() for path in tmp_path.rglob("*.wav")}
    assert samples == {
        "kept/v0_0.wav",
        "silence/v0_1.wav",
        "social/v0_2.wav",
        "speech-or-music/v0_3.wav",
        "low-energy/v0_4.wav",
    }
    speech, rate = read_waveform(tmp_path / "samples" / "social" / "v0_2.wav")
    assert rate == RATE and loudest_db(speech[0], rate) > -40


def constant(speech: float, music: float, other: float):
    return lambda waveform, sample_rate: SoundTags(speech=speech, music=music, other=other)


@pytest.mark.parametrize(
    ("tags", "stage"),
    [
        ((0.6, 0.0, 0.9), "social"),
        ((0.4, 0.6, 0.2), "speech-or-music"),
        ((0.4, 0.6, 0.9), None),
        ((0.4, 0.4, 0.0), None),
    ],
)
def test_any_tagger_can_be_plugged_in(tags, stage):
    sound = blows(3.0, np.random.default_rng(3))
    assert judge("a", sound, FilterConfig(), constant(*tags)).stage == stage


def test_stages_are_asked_in_order_and_their_thresholds_are_options():
    faint = 10 ** (-60 / 20) * np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32)
    nothing, talk = constant(0, 0, 1), constant(1, 0, 0)
    assert judge("a", faint, FilterConfig(), nothing).stage == "low-energy"
    assert judge("a", faint, FilterConfig(), talk).stage == "social"
    assert judge("a", faint, FilterConfig(silence_db=-50), talk).stage == "silence"
    assert judge("a", faint, FilterConfig(energy_db=-70), nothing).stage is None
    assert judge("a", faint, FilterConfig(energy_db=-70, speech_probability=1.0), talk).stage == "social"
    assert judge("a", np.zeros(0, np.float32), FilterConfig(), nothing).stage == "silence"


def test_level_of_the_loudest_stretch():
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    assert loudest_db(tone, RATE) == pytest.approx(-3.01, abs=0.05)
    assert loudest_db(tone + 5, RATE) == pytest.approx(-3.01, abs=0.05)
    burst = np.zeros(RATE, np.float32)
    burst[8000:8800] = 0.1 * tone[:800]
    assert loudest_db(burst, RATE) == pytest.approx(-23, abs=0.5)
    assert loudest_db(np.zeros(RATE, np.float32), RATE) == -120


def test_impossible_settings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="speech_probability"):
        FilterConfig(speech_probability=1.2)
    with pytest.raises(ConfigError, match="silence_db <= energy_db"):
        FilterConfig(silence_db=-20, energy_db=-40)
    with pytest.raises(InputError, match="no clip to filter"):
        filter_clips(Manifest(records=()), tmp_path)
