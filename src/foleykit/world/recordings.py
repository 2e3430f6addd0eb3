"""Real recordings with a metadata table, cut so that they can take the place of synthesis."""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.files import read_waveform
from foleykit.core.errors import MediaError
from foleykit.world.noise import unit_rms
from foleykit.world.types import AmbienceKind, EventKind, Material, Split

_IMPACT_ACTIONS = frozenset(
    {"hit", "strike", "bang", "clang", "tap", "key_tap", "dull_hit", "thump", "knock", "slap", "hand_slap", "clunk",
     "place", "peck", "pick", "drop", "clap", "axe_chop", "chop", "brush_hit", "flick", "lid", "touch", "thud", "punch"}
)  # fmt: skip
_IMPACTS: dict[Material, frozenset[tuple[str, str]]] = {
    "wood": frozenset({("wood_hit", "wood"), ("wood_hit", "blackboard"), ("cutting", "wood"), ("door", "door")}),
    "metal": frozenset(
        {("metal_hit", name) for name in (
            "aluminium", "bowl", "brass_bowl", "bucket", "garbage_can", "iron", "locker", "metal", "metal_barrel",
            "metal_beam", "metal_creamer", "metal_lid", "metal_pipe", "metal_stand", "pan", "pan_lid", "pipe",
            "sheet_metal", "tin_can",
        )}
        | {("keys_coins_chain", name) for name in ("coin", "screw", "steel_balls")}
        | {("drop_bounce_roll", "metal"), ("drop_bounce_roll", "metal_disc")}
    ),
    "glass": frozenset({("glass", "bottle"), ("glass", "glass"), ("glass", "glass_cup")}),
    "ceramic": frozenset(
        {("ceramic_stone", name) for name in ("bowl", "cup", "mug", "plate", "tile")}
    ),
    "plastic": frozenset({("plastic", name) for name in ("container", "plastic", "plastic_box", "tube", "water_jug")}),
    "stone": frozenset({("ceramic_stone", "rock"), ("ceramic_stone", "stone"), ("ceramic_stone", "brick")}),
    "cloth": frozenset(
        {("drop_bounce_roll", "soft_object"), ("hands_body", "punch_bag")}
    ),
}  # fmt: skip
_SUSTAINED: dict[tuple[EventKind, Material | None], frozenset[tuple[str, str, str]]] = {
    ("scrape", "metal"): frozenset(
        {("scrape_rub", "metal", "drag"), ("scrape_rub", "metal", "scrape"), ("scrape_rub", "garbage_can", "drag"),
         ("scrape_rub", "chain", "drag"), ("scrape_rub", "metal_lids", "grind"), ("scrape_rub", "rail", "scrape"),
         ("scrape_rub", "metal_grill", "slide")}
    ),
    ("scrape", "wood"): frozenset(
        {("scrape_rub", "stick", "scrape"), ("scrape_rub", "stool", "move"), ("scrape_rub", "furniture", "drag"),
         ("cutting", "wood", "saw")}
    ),
    ("scrape", "stone"): frozenset({("ceramic_stone", "stone", "grind"), ("ceramic_stone", "stone", "scratch")}),
    ("scrape", "ceramic"): frozenset({("ceramic_stone", "tile", "scrape")}),
    ("scrape", "plastic"): frozenset({("scrape_rub", "plastic", "scratch"), ("plastic", "balloon", "rub")}),
    ("scrape", "cloth"): frozenset(
        {("cloth_tape", "cloth", "rustle"), ("cloth_tape", "fabric", "rustle"), ("cloth_tape", "duster", "swish")}
    ),
    ("roll", "metal"): frozenset(
        {("drop_bounce_roll", "garbage_can", "roll"), ("drop_bounce_roll", "hubcap", "roll"),
         ("scrape_rub", "metal", "roll"), ("keys_coins_chain", "steel_balls", "roll"),
         ("keys_coins_chain", "coins", "roll")}
    ),
    ("pour", None): frozenset(
        {("water", "water", "pour"), ("water", "water", "pour_bucket"), ("water", "bottle", "glug")}
    ),
}  # fmt: skip
_BEDS: dict[AmbienceKind, frozenset[str]] = {
    "silence": frozenset(),
    "room": frozenset({"room_tone"}),
    "hum": frozenset({"electric_hum"}),
    "fan": frozenset({"fan_vent"}),
    "rain": frozenset({"rain"}),
    "wind": frozenset({"wind"}),
    "traffic": frozenset({"city_traffic"}),
    "birds": frozenset({"birds"}),
    "babble": frozenset({"crowd_babble", "restaurant_babble"}),
    "stream": frozenset({"stream"}),
    "machine": frozenset({"machine_hum", "appliance"}),
}
_HIT_SECONDS: dict[Material, float] = {
    "wood": 0.5,
    "metal": 2.5,
    "glass": 1.2,
    "ceramic": 0.8,
    "plastic": 0.4,
    "stone": 0.35,
    "cloth": 0.45,
}
"""How long a recorded hit may sound: what comes later is room and handling noise."""
_LEFT_OUT = ("chimes", "squeaks", "garbage truck", "radiator", "steam engine", "coffee machine")

_TURN: tuple[Split, ...] = ("train", "test", "train", "train", "valid", "train", "train")
"""Which split each next source of a role goes to: test sounds are unseen in training even where there are few."""

Role = tuple[EventKind | Literal["bed"], Material | AmbienceKind | None]
"""What a recording may stand for: a kind of event on a material, or a kind of background."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One usable row of a metadata table."""

    path: Path
    key: str
    """Folder and file name, equal on every machine."""
    role: Role
    split: Split
    onsets: tuple[float, ...]
    """Detected onsets in seconds."""
    credit: str
    """Author, licence and source, for an attribution list."""


@dataclass(kw_only=True)
class Recordings:
    """The usable recordings of a folder; waveforms are read when first needed and kept."""

    folder: Path
    rows: tuple[Recording, ...]
    used: set[str] = field(default_factory=set)
    """Keys of the recordings that have sounded so far."""
    _cache: dict[tuple[str, int], NDArray[np.float32]] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, folder: Path | str) -> Recordings:
        """Read `metadata.csv` in `folder` or in its sub-folders; only rows marked `model_training_ok` are used.

        Raises MediaError when no table has such rows or when a table with that column lacks another.
        """
        folder = Path(folder)
        tables = sorted([*folder.glob("metadata.csv"), *folder.glob("*/metadata.csv")])
        rows = [row for table in tables for row in _read_table(table)]
        if not rows:
            raise MediaError(
                f"{folder}: no metadata.csv with recordings marked model_training_ok in it or one level below"
            )
        return cls(folder=folder, rows=tuple(rows))

    def credits(self, keys: set[str] | None = None) -> tuple[str, ...]:
        """Return one line for each recording in `keys` (None: all that have sounded so far), sorted."""
        wanted = self.used if keys is None else keys
        return tuple(sorted(f"{row.key}: {row.credit}" for row in self.rows if row.key in wanted))

    def hit(
        self, material: Material, *, split: Split, body: np.random.Generator, rng: np.random.Generator, sample_rate: int
    ) -> NDArray[np.float32] | None:
        """Return one recorded impact (S,), peak 1, onset at sample 0, or None when there is no such recording.

        `body` chooses the recording, `rng` the hit in it.
        """
        row = self._choose(("impact", material), split, body)
        if row is None:
            return None
        waveform = self._waveform(row, sample_rate)
        position = int(rng.integers(len(row.onsets)))
        start = row.onsets[position]
        end = row.onsets[position + 1] - 0.01 if position + 1 < len(row.onsets) else np.inf
        sound = _cut_hit(waveform, start, min(end, start + _HIT_SECONDS[material]), sample_rate)
        if sound is None:
            return None
        self.used.add(row.key)
        return sound

    def texture(
        self,
        kind: EventKind,
        material: Material,
        num_samples: int,
        *,
        split: Split,
        body: np.random.Generator,
        rng: np.random.Generator,
        sample_rate: int,
    ) -> NDArray[np.float32] | None:
        """Return a recorded scrape, roll or pour (S,) of even level and unit RMS, or None when there is none."""
        row = self._choose((kind, None if kind == "pour" else material), split, body)
        if row is None:
            return None
        self.used.add(row.key)
        source = _even(self._waveform(row, sample_rate), sample_rate)
        return unit_rms(_looped(source, num_samples, sample_rate, rng))

    def bed(
        self,
        kind: AmbienceKind,
        num_samples: int,
        sample_rate: int,
        *,
        split: Split,
        character: np.random.Generator,
        rng: np.random.Generator,
    ) -> NDArray[np.float32] | None:
        """Return a recorded background (S,) of unit RMS, joined from crossfaded pieces, or None when there is none."""
        row = self._choose(("bed", kind), split, character)
        if row is None:
            return None
        self.used.add(row.key)
        return unit_rms(_looped(self._waveform(row, sample_rate), num_samples, sample_rate, rng))

    def _choose(self, role: Role, split: Split, rng: np.random.Generator) -> Recording | None:
        pool = [row for row in self.rows if row.role == role and row.split == split]
        return pool[int(rng.integers(len(pool)))] if pool else None

    def _waveform(self, row: Recording, sample_rate: int) -> NDArray[np.float32]:
        key = (row.key, sample_rate)
        if key not in self._cache:
            self._cache[key] = read_waveform(row.path, sample_rate=sample_rate, mono=True)[0][0]
        return self._cache[key]


def _read_table(table: Path) -> list[Recording]:
    with table.open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line.get("model_training_ok") == "yes"]
    try:
        roles = [(line, role) for line in lines if (role := _role(line)) and (table.parent / line["file"]).is_file()]
        splits = _splits([(line["file"], role) for line, role in roles])
        return [
            Recording(
                path=table.parent / line["file"],
                key=f"{table.parent.name}/{line['file']}",
                role=role,
                split=splits[line["file"]],
                onsets=tuple(float(onset) for onset in line["onsets_s"].split()),
                credit=f"{line['author']}, {line['licence']}, {line['source_repository']}/{line['source_path']}",
            )
            for line, role in roles
        ]
    except KeyError as error:
        raise MediaError(f"{table}: column {error} is missing") from error


def _role(line: dict[str, str]) -> Role | None:
    """Return what a row may stand for, or None for a sound that none of our events makes."""
    sound_class, name, action = line["class"], line["material"], line["action"]
    if line["kind"] == "bed":
        kinds = [kind for kind, classes in _BEDS.items() if sound_class in classes]
        return ("bed", kinds[0]) if kinds and not any(word in action for word in _LEFT_OUT) else None
    for role, wanted in _SUSTAINED.items():
        if (sound_class, name, action) in wanted:
            return role
    if line["kind"] == "continuous" or action not in _IMPACT_ACTIONS or not line["onsets_s"].strip():
        return None
    return next((("impact", material) for material, names in _IMPACTS.items() if (sound_class, name) in names), None)


def _splits(rows: list[tuple[str, Role]]) -> dict[str, Split]:
    """Return the split of each file; files that differ only in a number are pieces of one source and stay together."""
    splits: dict[str, Split] = {}
    for role in dict.fromkeys(role for _, role in rows):
        sources: dict[str, list[str]] = {}
        for file, _ in (row for row in rows if row[1] == role):
            sources.setdefault(re.sub(r"[-_]?(s?\d+[a-z]?)?([-_]s\d+)?$", "", Path(file).stem), []).append(file)
        ordered = sorted(sources, key=lambda source: hashlib.sha256(source.encode()).digest())
        for position, source in enumerate(ordered):
            splits.update(dict.fromkeys(sources[source], _TURN[position % len(_TURN)]))
    return splits


def _cut_hit(waveform: NDArray[np.float32], start: float, end: float, sample_rate: int) -> NDArray[np.float32] | None:
    """Return one hit (S,) with peak 1, or None when the sound around the detected onset does not rise like one."""
    first = max(0, int((start - 0.03) * sample_rate))
    last = int(min(end * sample_rate, waveform.size, first + 2.5 * sample_rate))
    piece = waveform[first:last]
    if piece.size < sample_rate // 50:
        return None
    window = piece[: int(0.12 * sample_rate)]
    peak_at = int(np.abs(window).argmax())
    peak = float(np.abs(window[peak_at]))
    if peak < 1e-3:
        return None
    # The contact is the last quiet sample before the peak's rise: walk back from the peak in steps of 1 ms.
    step = max(1, sample_rate // 1000)
    onset = peak_at
    while onset > 0 and float(np.abs(piece[max(0, onset - 3 * step) : onset]).max()) > 0.12 * peak:
        onset -= step
    onset = max(0, onset)
    sound = piece[onset:].copy()
    fade = np.linspace(1, 0, max(1, min(sound.size // 2, sample_rate // 4)), dtype=np.float32) ** 2
    sound[-fade.size :] *= fade
    rise = max(1, sample_rate // 2000)
    sound[:rise] *= np.linspace(1 / rise, 1, min(rise, sound.size), dtype=np.float32)
    return sound / np.float32(np.abs(sound).max())


def _even(waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Return `waveform` with its slow level changes halved in dB and its quiet ends cut off."""
    hop = sample_rate // 50
    num_hops = waveform.size // hop
    if num_hops < 4:
        return waveform
    level = np.sqrt((waveform[: num_hops * hop].reshape(num_hops, hop) ** 2).mean(1)) + 1e-5
    loud = np.flatnonzero(level > 0.2 * np.percentile(level, 90))
    low, high = int(loud[0]), int(loud[-1]) + 1
    gain = np.clip((level[low:high] / np.percentile(level, 90)) ** -0.5, 0, 4)
    kept = waveform[low * hop : high * hop]
    return kept * np.interp(np.arange(kept.size) / hop, np.arange(gain.size) + 0.5, gain).astype(np.float32)


def _looped(
    source: NDArray[np.float32], num_samples: int, sample_rate: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return `num_samples` joined from random pieces of `source` by equal-power crossfades."""
    piece_size = int(min(source.size, 2.5 * sample_rate))
    fade_size = max(1, piece_size // 4)
    fade = np.sin(0.5 * np.pi * (np.arange(fade_size) + 0.5) / fade_size).astype(np.float32)
    sound = np.zeros(num_samples + 2 * piece_size, np.float32)
    at = -fade_size
    while at < num_samples:
        offset = int(rng.integers(0, source.size - piece_size + 1))
        piece = source[offset : offset + piece_size].copy()
        piece[:fade_size] *= fade
        piece[-fade_size:] *= fade[::-1]
        skipped = max(0, -at)
        sound[at + skipped : at + piece_size] += piece[skipped:]
        at += piece_size - fade_size
    return sound[:num_samples]
