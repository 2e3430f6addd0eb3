"""Folders of media from any system: strict pairing, known answers, and what bad input gets."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from foleykit.audio.files import write_waveform
from foleykit.core.errors import MediaError
from foleykit.evaluation.material_classifier import MaterialClassifier
from foleykit.evaluation.media import GENERATED, REFERENCE, SHIFTED, SHUFFLED, evaluate_media
from foleykit.evaluation.networks import MaterialNetwork, SoundFeatures
from foleykit.evaluation.protocols import MediaProtocol
from foleykit.evaluation.sound_measures import MeasureConfig

RATE = 16_000
NUM_CLIPS = 6
QUICK = MediaProtocol(num_resamples=50)
ONSET = MediaProtocol(name="onset", num_resamples=50)


def hits(seed: int, seconds: float = 3.0, shift_ms: float = 0.0) -> NDArray[np.float32]:
    """Return bursts at irregular times over noise at -60 dBFS, (1, S)."""
    rng = np.random.default_rng(seed)
    waveform = 1e-3 * rng.standard_normal(round(seconds * RATE))
    for time in np.cumsum(rng.uniform(0.25, 0.7, 12)) + shift_ms / 1000:
        start = round(time * RATE)
        if start + 2000 > len(waveform):
            break
        burst = np.random.default_rng(seed + 1000).standard_normal(2000)
        waveform[start : start + 2000] += 0.3 * burst * np.exp(-np.arange(2000) / 300)
    return np.clip(waveform, -1, 1)[None].astype(np.float32)


def write_set(folder: Path, *, first_seed: int = 0, shift_ms: float = 0.0, num: int = NUM_CLIPS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(num):
        write_waveform(folder / f"clip{index}.wav", hits(first_seed + index, shift_ms=shift_ms), RATE)
    return folder


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("media") / "reference")


def test_a_set_against_itself_scores_the_ideal(reference: Path) -> None:
    report = evaluate_media(reference, reference, protocol=QUICK)
    assert report.is_complete and report.clip_ids == tuple(f"clip{index}" for index in range(NUM_CLIPS))
    own = report.table.row(GENERATED).estimates
    for key in ("onset_f1", "onset_precision", "onset_recall", "sync_score", "envelope_correlation", "shift_found"):
        assert own[key].value == own[key].low == own[key].high == pytest.approx(1), key
    for key in (
        "offset_absolute_ms",
        "shift_absolute_ms",
        "ambient_error_db",
        "ambience_to_action_error_db",
        "loudness_error_db",
        "duration_error_ms",
        "log_spectral_distance_db",
        "multi_resolution_stft",
    ):
        assert (own[key].value, own[key].high) == pytest.approx((0, 0), abs=1e-6), key
    assert report.data["reference_sha256"] == report.data["generated_sha256"]
    assert report.table.row(REFERENCE).estimates["bandwidth_hz"] == own["bandwidth_hz"]


def test_permuted_pairs_score_chance(reference: Path, tmp_path: Path) -> None:
    for index in range(NUM_CLIPS):
        shutil.copy(reference / f"clip{index}.wav", tmp_path / f"clip{(index + 1) % NUM_CLIPS}.wav")
    report = evaluate_media(tmp_path, reference, protocol=ONSET)
    own, chance = (report.table.row(name).estimates for name in (GENERATED, SHIFTED))
    assert own["onset_f1"].value == pytest.approx(chance["onset_f1"].value, abs=0.15)
    assert own["onset_f1"].value < 0.5 and abs(own["sync_score"].value) < 0.25


def test_other_clips_are_chance(reference: Path) -> None:
    other = evaluate_media(reference, reference, protocol=ONSET).table.row(SHUFFLED).estimates
    assert other["onset_f1"].value < 0.5 and abs(other["sync_score"].value) < 0.25


@pytest.mark.parametrize("shift_ms", [-35.0, 20.0])
def test_a_shift_is_found_and_signed(reference: Path, tmp_path: Path, shift_ms: float) -> None:
    report = evaluate_media(write_set(tmp_path / "late", shift_ms=shift_ms), reference, protocol=ONSET)
    own = report.table.row(GENERATED).estimates
    assert own["onset_f1"].value > 0.95
    assert own["offset_ms"].value == pytest.approx(shift_ms, abs=2)
    assert own["shift_absolute_ms"].value == pytest.approx(abs(shift_ms), abs=2)
    assert report.offsets is not None and report.offsets.share_late == (shift_ms > 0)
    past = evaluate_media(write_set(tmp_path / "later", shift_ms=85.0), reference, protocol=ONSET)
    assert past.table.row(GENERATED).estimates["onset_f1"].value < 0.1


def test_nothing_stands_in_for_a_missing_file(reference: Path, tmp_path: Path) -> None:
    """Every way in which a clip can drop out is named; the others are scored."""
    folder = write_set(tmp_path / "generated")
    (folder / "clip0.wav").rename(folder / "other.wav")
    shutil.copy(folder / "clip1.wav", folder / "clip1.foley.wav")
    write_waveform(folder / "clip2.wav", hits(2, seconds=2.5), RATE)
    (folder / "clip3.wav").write_bytes(b"RIFF no sound at all")
    (folder / "notes.txt").write_text("not media")
    report = evaluate_media(folder, reference, protocol=ONSET)
    assert report.clip_ids == ("clip4", "clip5") and not report.is_complete
    reasons = {entry.clip_id: entry.reason for entry in report.left_out}
    assert reasons == {
        "clip0": "no generated sound",
        "clip1": "two files of one id",
        "clip2": "generated sound has another length",
        "clip3": "generated sound cannot be used",
        "other": "no reference",
    }
    assert report.data["num_reference"] == 6 and report.data["num_generated"] == 6 and report.data["num_scored"] == 2
    text = report.to_markdown()
    assert "1 clips left out, no reference: other" in text and "lasts 2.500 s, the reference 3.000 s" in text


def test_a_wrong_rate_in_a_header_is_recognised(reference: Path, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "generated")
    write_waveform(folder / "clip0.wav", hits(0), 22_050)
    report = evaluate_media(folder, reference, protocol=ONSET)
    assert "as if its 22050 Hz were 16000 Hz" in report.left_out[0].detail


def test_samples_that_are_no_numbers_are_not_scored_as_silence(reference: Path, tmp_path: Path) -> None:
    import soundfile

    folder = write_set(tmp_path / "generated")
    broken = hits(0)[0]
    broken[100] = np.nan
    soundfile.write(folder / "clip0.wav", broken, RATE, subtype="FLOAT")
    report = evaluate_media(folder, reference, protocol=ONSET)
    assert [entry.clip_id for entry in report.left_out] == ["clip0"]
    assert "not finite" in report.left_out[0].detail


def test_silent_sounds_score_as_silence_and_are_named(reference: Path, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "generated")
    write_waveform(folder / "clip0.wav", np.zeros((1, 3 * RATE), np.float32), RATE)
    report = evaluate_media(folder, reference, protocol=QUICK)
    own = report.table.row(GENERATED).estimates
    assert own["onset_f1"].value < 1 and own["onset_precision"].value == 1
    assert own["loudness_lufs"].num_clips == NUM_CLIPS - 1
    assert report.data["silent"] == ["clip0"] and "1 generated sounds are silent" in report.notes[0]
    assert report.to_json()["clips"]["clip0"]["loudness_lufs"] is None
    for index in range(NUM_CLIPS):
        write_waveform(folder / f"clip{index}.wav", np.zeros((1, 3 * RATE), np.float32), RATE)
    with pytest.raises(MediaError, match="all 6 generated sounds are silent"):
        evaluate_media(folder, reference, protocol=QUICK)


def test_silent_references_are_left_out(reference: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(reference, tmp_path / "reference")
    write_waveform(folder / "clip5.wav", np.zeros((1, 3 * RATE), np.float32), RATE)
    report = evaluate_media(reference, folder, protocol=ONSET)
    assert [(entry.clip_id, entry.reason) for entry in report.left_out] == [("clip5", "reference is silent")]


def test_too_few_clips_are_refused_with_their_reasons(reference: Path, tmp_path: Path) -> None:
    write_waveform(tmp_path / "clip0.wav", hits(0), RATE)
    write_waveform(tmp_path / "clip1.wav", hits(1, seconds=2.0), RATE)
    with pytest.raises(MediaError, match=r"1 clips can be scored, at least 2 are needed; 4 no generated sound, 1 gene"):
        evaluate_media(tmp_path, reference, protocol=ONSET)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="holds no video and no sound"):
        evaluate_media(tmp_path / "empty", reference, protocol=ONSET)
    with pytest.raises(MediaError, match="no such folder"):
        evaluate_media(tmp_path / "nowhere", reference, protocol=ONSET)


def test_beginnings_can_be_compared(reference: Path, tmp_path: Path) -> None:
    folder = tmp_path / "generated"
    folder.mkdir()
    for index in range(NUM_CLIPS):
        write_waveform(folder / f"clip{index}.wav", hits(index)[:, : 2 * RATE], RATE)
    protocol = MediaProtocol(name="onset", measure=MeasureConfig(seconds=2.0), num_resamples=50)
    report = evaluate_media(folder, reference, protocol=protocol)
    assert report.is_complete and report.table.row(GENERATED).estimates["onset_f1"].value == 1


def test_figures_without_their_network_are_named(reference: Path) -> None:
    report = evaluate_media(reference, reference, protocol=QUICK)
    assert report.metrics_left_out["fd_vggish"] == "needs VGGish"
    assert report.metrics_left_out["fd_material"] == "needs a trained material classifier"
    assert report.metrics_left_out["take_diversity_db"] == "needs further takes (--take)"
    assert "FAD (VGGish)" in report.to_markdown() and "fd_vggish" not in report.table.row(GENERATED).estimates


def test_two_runs_print_the_same_and_settings_change_the_hash(reference: Path, tmp_path: Path) -> None:
    late = write_set(tmp_path / "late", shift_ms=10)
    first, second = (evaluate_media(late, reference, protocol=ONSET) for _ in range(2))
    assert json.dumps(first.to_json()) == json.dumps(second.to_json())
    other = MediaProtocol(name="onset", num_resamples=50, seed=1)
    assert evaluate_media(late, reference, protocol=other).protocol_sha256 != first.protocol_sha256
    assert first.data["reference_sha256"] != first.data["generated_sha256"]


def test_takes_have_diversity(reference: Path, tmp_path: Path) -> None:
    same = evaluate_media(reference, reference, protocol=QUICK, takes=[reference])
    assert same.table.row(GENERATED).estimates["take_diversity_db"].value == 0
    other = write_set(tmp_path / "other", first_seed=50)
    varied = evaluate_media(reference, reference, protocol=QUICK, takes=[reference, other])
    assert varied.table.row(GENERATED).estimates["take_diversity_db"].value > 3
    assert varied.data["num_takes"] == 3
    (other / "clip0.wav").unlink()
    left = evaluate_media(reference, reference, protocol=QUICK, takes=[other]).left_out
    assert [(entry.clip_id, entry.reason) for entry in left] == [("clip0", "no further take")]


@dataclass(frozen=True)
class BandLevels:
    """A network small enough to know: the levels of four bands per second, and loud bands as classes."""

    identity: str = "band levels"

    def features(self, sound: Path, *, seconds: float | None) -> SoundFeatures:
        from foleykit.audio.files import read_waveform

        waveform, _ = read_waveform(sound, seconds=seconds, mono=True)
        power = np.square(np.abs(np.fft.rfft(waveform[0].reshape(-1, 4000), axis=1)[:, 1:]))
        levels = torch.from_numpy(np.log(power.reshape(len(power), 4, -1).mean(axis=2)))
        return SoundFeatures(embeddings=levels, logits=levels.mean(dim=0))


@dataclass(frozen=True)
class Lengths:
    """Scores a pair by the size of its file; the first clip has no score."""

    identity: str = "lengths"

    def score(self, sound: Path, reference: Path, *, seconds: float | None) -> float:
        return math.nan if sound.stem == "clip0" else sound.stat().st_size / reference.stat().st_size


def test_networks_that_are_passed_give_their_figures(reference: Path, tmp_path: Path) -> None:
    protocol = MediaProtocol(name="v2a", num_resamples=20, min_set_clips=3)
    networks = {"vggish": BandLevels(), "passt": BandLevels(), "imagebind": Lengths()}
    same = evaluate_media(reference, reference, protocol=protocol, networks=networks)  # type: ignore[arg-type]
    own = same.table.row(GENERATED).estimates
    assert own["fd_vggish"].value == pytest.approx(0, abs=1e-6)
    assert own["kl_passt"].value == own["kl_passt"].high == pytest.approx(0, abs=1e-9)
    assert own["imagebind_score"].value == 1 and own["imagebind_score"].num_clips == NUM_CLIPS - 1
    # Ten splits need more clips than these.
    assert "splits" in same.metrics_left_out["is_passt"]
    loud = tmp_path / "loud"
    loud.mkdir()
    for index in range(NUM_CLIPS):
        write_waveform(loud / f"clip{index}.wav", np.clip(2 * hits(index), -1, 1), RATE)
    other = evaluate_media(loud, reference, protocol=protocol, networks=networks)  # type: ignore[arg-type]
    assert other.table.row(GENERATED).estimates["fd_vggish"].value > 1
    assert same.protocol_sha256 == other.protocol_sha256
    assert same.table.protocol["networks"] == {"imagebind": "lengths", "passt": "band levels", "vggish": "band levels"}


def test_too_few_clips_have_no_distance(reference: Path, tmp_path: Path) -> None:
    classifier = MaterialClassifier().eval()
    classifier.save(tmp_path)
    network = MaterialNetwork.load(tmp_path)
    report = evaluate_media(reference, reference, protocol=QUICK, networks={"material": network})
    assert report.metrics_left_out["fd_material"] == "needs 50 clips, there are 6"
    few = MediaProtocol(num_resamples=20, min_set_clips=3)
    report = evaluate_media(reference, reference, protocol=few, networks={"material": network})
    assert report.metrics_left_out["fd_material"] == "needs more than 64 embeddings per set, there are 36"
    own = report.table.row(GENERATED).estimates
    assert own["precision_material"].value == own["recall_material"].value == own["coverage_material"].value == 1


def test_videos_pair_with_sounds(reference: Path, tmp_path: Path) -> None:
    from evaluation.test_real_report import write_video

    folder = tmp_path / "videos"
    folder.mkdir()
    for index in range(3):
        # write_video's pictures last six seconds.
        write_video(folder / f"clip{index}.foley.mkv", hits(index, seconds=6.0)[0])
        write_waveform(folder.parent / f"clip{index}.wav", hits(index, seconds=6.0), RATE)
    report = evaluate_media(folder, tmp_path, protocol=QUICK)
    own = report.table.row(GENERATED).estimates
    assert own["onset_f1"].value == 1 and own["log_spectral_distance_db"].value < 1
    backwards = evaluate_media(tmp_path, folder, protocol=QUICK)
    assert backwards.table.row(GENERATED).estimates["duration_error_ms"].value == 0
