from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from foleykit.audio.files import write_waveform
from foleykit.core.errors import MediaError
from foleykit.world.ambience import ambience
from foleykit.world.recordings import Recordings
from foleykit.world.types import SoundEvent, Split
from foleykit.world.voice import voice

RATE = 22_050
COLUMNS = (
    "file",
    "class",
    "material",
    "action",
    "kind",
    "onsets_s",
    "source_repository",
    "source_path",
    "author",
    "licence",
    "model_training_ok",
)


def decaying_tone(hz: float, seconds: float) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.exp(-time * 20) * np.sin(2 * np.pi * hz * time + 0.5)).astype(np.float32)


def write_table(folder: Path, rows: list[dict[str, str]]) -> None:
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)


def row(file: str, sound_class: str, material: str, action: str, kind: str, onsets: str = "", ok: str = "yes"):
    values = (
        file,
        sound_class,
        material,
        action,
        kind,
        onsets,
        "owner/sounds",
        f"raw/{file}",
        "A. Uthor",
        "CC0 1.0",
        ok,
    )
    return dict(zip(COLUMNS, values, strict=True))


@pytest.fixture
def library(tmp_path: Path) -> Recordings:
    """Three wooden hits of 700 Hz with half a second of silence before the first, a forbidden one, a scrape, a bed."""
    (tmp_path / "actions").mkdir()
    (tmp_path / "ambient").mkdir()
    hits = np.zeros(3 * RATE, np.float32)
    for onset in (0.5, 1.2, 2.0):
        hits[round(onset * RATE) :][: RATE // 2] += decaying_tone(700, 0.5)
    rng = np.random.default_rng(0)
    for name in ("knock", "forbidden"):
        write_waveform(tmp_path / "actions" / f"{name}.flac", hits, RATE)
    write_waveform(tmp_path / "actions" / "drag.flac", 0.1 * rng.standard_normal(2 * RATE).astype(np.float32), RATE)
    tone = np.sin(2 * np.pi * 333 * np.arange(3 * RATE) / RATE).astype(np.float32)
    write_waveform(tmp_path / "ambient" / "fan.flac", 0.2 * tone, RATE)
    write_table(
        tmp_path / "actions",
        [
            row("knock.flac", "wood_hit", "wood", "hit", "repeated", "0.51 1.19 2.0"),
            row("forbidden.flac", "metal_hit", "metal", "hit", "single", "0.5", ok="no"),
            row("drag.flac", "scrape_rub", "stick", "scrape", "continuous", "0.0"),
            row("absent.flac", "glass", "glass", "hit", "single", "0.1"),
        ],
    )
    write_table(tmp_path / "ambient", [row("fan.flac", "fan_vent", "", "fan", "bed")])
    return Recordings.load(tmp_path)


def test_only_usable_rows_whose_file_is_there_are_read(library):
    assert {recording.key for recording in library.rows} == {
        "actions/knock.flac",
        "actions/drag.flac",
        "ambient/fan.flac",
    }


def test_a_recorded_hit_starts_at_the_sample_of_the_contact(library, make_event, make_take):
    event = make_event(0.8, material="wood")
    action = voice(make_take(event), sample_rate=16_000, seed=3, recordings=library, recording_share=1.0).action
    onset = round(0.8 * 16_000)
    assert np.abs(action[:onset]).max() < 1e-6
    assert np.abs(action[onset : onset + 48]).max() > 0.25 * np.abs(action).max()
    peak_hz = np.abs(np.fft.rfft(action)).argmax() / 3
    assert peak_hz == pytest.approx(700, abs=10)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_decides_between_recording_and_synthesis(library, share, make_event, make_take):
    take = make_take(make_event(0.5, material="wood"), make_event(1.0, material="wood", kind="scrape", duration=1.0))
    voice(take, sample_rate=16_000, seed=1, recordings=library, recording_share=share)
    assert library.used == ({"actions/knock.flac", "actions/drag.flac"} if share else set())
    assert len(library.credits()) == len(library.used)
    assert all("A. Uthor, CC0 1.0, owner/sounds/raw/" in line for line in library.credits())


def test_a_body_is_recorded_or_synthetic_for_all_its_events(library, make_event, make_take):
    def is_recorded(event: SoundEvent) -> bool:
        library.used.clear()
        voice(make_take(event), sample_rate=16_000, seed=8, recordings=library, recording_share=0.5)
        return bool(library.used)

    for body in range(8):
        events = [make_event(time, material="wood", body_seed=body, strength=time) for time in (0.2, 0.7, 1.4)]
        assert len({is_recorded(event) for event in events}) == 1


def test_a_material_without_recordings_is_synthesised(library, make_event, make_take):
    assert voice(
        make_take(make_event(0.5, material="metal")),
        sample_rate=16_000,
        seed=1,
        recordings=library,
        recording_share=1.0,
    ).action.any()
    assert not library.used


def test_a_recorded_background_has_the_level_and_the_sound_of_its_bed(library, make_place):
    place = make_place(2, ("fan",), -33)
    sound = ambience(
        place,
        num_samples=10 * 16_000,
        sample_rate=16_000,
        rng=np.random.default_rng(0),
        recordings=library,
        recording_share=1.0,
    )
    assert 10 * np.log10(np.square(sound, dtype=np.float64).mean()) == pytest.approx(-33, abs=0.1)
    assert np.abs(np.fft.rfft(sound)).argmax() / 10 == pytest.approx(333, abs=2)


def test_no_source_is_in_two_splits(tmp_path):
    rows = []
    for source in range(10):
        for take in (1, 2):
            name = f"stick-{'abcdefghij'[source]}-{take}.flac"
            write_waveform(tmp_path / name, decaying_tone(500, 0.2), RATE)
            rows.append(row(name, "wood_hit", "wood", "hit", "single", "0.0"))
    write_table(tmp_path, rows)
    library = Recordings.load(tmp_path)
    split_of: dict[str, set[Split]] = {}
    for recording in library.rows:
        split_of.setdefault(recording.key[:-7], set()).add(recording.split)
    assert all(len(splits) == 1 for splits in split_of.values())
    assert {split for splits in split_of.values() for split in splits} == {"train", "valid", "test"}


def test_a_folder_without_a_usable_table_is_refused(tmp_path):
    with pytest.raises(MediaError, match="model_training_ok"):
        Recordings.load(tmp_path)
