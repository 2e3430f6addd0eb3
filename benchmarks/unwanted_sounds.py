"""How surely speech and music are heard in a take, and how often where there is none.

    python benchmarks/unwanted_sounds.py --videos DIR [--model tiny-avldm --seeds 2 3 4 5] [--recordings DIR]

Listens as `foley generate` does, to what a model makes of real videos, to recordings (DIR/actions and
DIR/ambient), to the videos' own sound, to espeak-ng in six languages and three timbres, and to made-up tunes, alone
and mixed into generated sound. Prints a table for benchmarks/results: the share of sounds in which speech, or music, is
at least so likely.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.files import read_waveform
from foleykit.audio.resample import resample
from foleykit.audio.voice import EspeakVoice
from foleykit.core.errors import MediaError
from foleykit.data.corpora.planted import music
from foleykit.jobs.load import load
from foleykit.jobs.screening import LIKELY, Heard, listen
from foleykit.jobs.soundtrack import Settings
from foleykit.video.probe import probe

Waveform = NDArray[np.float32]
RATE = 16_000
THRESHOLDS = (0.5, 0.8, LIKELY, 0.95, 0.99)
OVER_DB = (12, 6, 0)
"""Levels of a voice or tune over the generated sound that it is mixed into, RMS over its own length."""
SAID = {
    "en-gb": ("Good morning. Could you pass me the hammer, please?", "I think we should leave before it gets dark."),
    "en-us": ("Nine hundred and twelve dollars, that is too much.", "Watch out, the pan is very hot!"),
    "de": ("Guten Tag, wo finde ich hier den Bahnhof?", "Das Wetter ist heute leider nicht besonders gut."),
    "fr": ("Bonjour, je voudrais un café et deux croissants.", "Il faut partir avant la nuit, mes amis."),
    "es": ("¿Dónde está la biblioteca, por favor?", "Mañana por la mañana vamos al mercado."),
    "it": ("Mi chiamo Anna e vengo da una piccola città.", "Attenzione, la porta si chiude."),
}
TIMBRES = ("", "+f2", "+m3")
NUM_TUNES = 36


def made(model: str, folder: Path, seeds: list[int], max_seconds: float) -> Iterator[tuple[str, Waveform]]:
    """Yield what the model makes of every video, at RATE."""
    pipeline = load(model)
    for path in videos_in(folder):
        info = probe(path)
        seconds = min(max_seconds, float(info.duration))
        end = seconds if seconds < info.duration else None
        settings = Settings(seed=seeds[0], end=end, is_marked=False)
        for take in pipeline.takes(info, settings, num_takes=len(seeds)):
            sound = take.generated[:, : round(seconds * take.model_rate)][0]
            yield f"{path.stem}, seed {take.settings.seed}", resample(sound, take.model_rate, RATE)


def videos_in(folder: Path) -> list[Path]:
    """Return the videos of a folder, in order."""
    return sorted(path for path in folder.iterdir() if path.suffix in (".mp4", ".mkv"))


def recorded(paths: list[Path]) -> Iterator[tuple[str, Waveform]]:
    """Yield the sound of files that have one."""
    for path in paths:
        try:
            yield path.stem, read_waveform(path, sample_rate=RATE, mono=True)[0][0]
        except MediaError:
            continue


def voices() -> Iterator[tuple[str, Waveform]]:
    """Yield every sentence in every timbre."""
    voice = EspeakVoice()
    for language, sentences in SAID.items():
        for number, sentence in enumerate(sentences):
            for timbre in TIMBRES:
                sound, rate = voice.speak(sentence, language + timbre, 1.0)
                yield f"{language}{timbre} {number}", resample(sound, rate, RATE)


def tunes() -> Iterator[tuple[str, Waveform]]:
    """Yield made-up tunes that the tagger was not fitted to."""
    for seed in range(NUM_TUNES):
        yield f"tune {seed}", music(3 * RATE, RATE, np.random.default_rng((78, seed)))


def mixed(sounds: list[tuple[str, Waveform]], beds: list[Waveform], over_db: float) -> Iterator[tuple[str, Waveform]]:
    """Yield each sound somewhere in a generated one, `over_db` louder than what it covers."""
    rng = np.random.default_rng(0)
    for (name, sound), bed in zip(sounds, (beds * len(sounds))[: len(sounds)], strict=True):
        whole = np.resize(bed, max(len(bed), len(sound)))
        first = int(rng.integers(len(whole) - len(sound) + 1))
        part = whole[first : first + len(sound)]
        part += sound * np.float32(10 ** (over_db / 20) * rms(part) / rms(sound))
        yield name, whole


def rms(sound: Waveform) -> float:
    """Return the level of a sound, never 0."""
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)) + 1e-12))


def row(name: str, sounds: Iterator[tuple[str, Waveform]]) -> None:
    """Print how often speech and music are heard in `sounds`, and in which."""
    heard: dict[str, Heard] = {}
    for label, sound in sounds:
        heard[label] = listen(sound[None], RATE, 0)
    for kind in ("speech", "music"):
        chances = np.array([one.chance(kind) for one in heard.values()])
        shares = " | ".join(f"{(chances >= threshold).mean():.3f}" for threshold in THRESHOLDS)
        found = [f"{label} {one.chance(kind):.2f}" for label, one in heard.items() if one.chance(kind) >= LIKELY]
        print(
            f"| {name} | {len(heard)} | {kind} | {shares} | {', '.join(found) if len(found) < 8 else ''} |", flush=True
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--recordings", type=Path)
    parser.add_argument("--model", default="tiny-avldm")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 4, 5], help="successive")
    parser.add_argument("--max-seconds", type=float, default=10.0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    generated = list(made(options.model, options.videos, options.seeds, options.max_seconds))
    begun = process_time()
    for _, sound in generated:
        listen(sound[None], RATE, 0)
    seconds = sum(len(sound) for _, sound in generated) / RATE
    print(f"{seconds:.0f} s of sound were listened to in {process_time() - begun:.1f} s of processor time\n")
    print(f"| sounds | number | kind | {' | '.join(f'at {threshold:g}' for threshold in THRESHOLDS)} | which |")
    print("|---" * (len(THRESHOLDS) + 4) + "|")
    row(f"made by {options.model}", iter(generated))
    row("sound of the videos", recorded(videos_in(options.videos)))
    if options.recordings is not None:
        for part in ("actions", "ambient"):
            row(f"recordings, {part}", recorded(sorted((options.recordings / part).rglob("*.flac"))))
    beds = [sound for _, sound in generated[:: len(options.seeds)]]
    for name, sounds in (("voices", list(voices())), ("tunes", list(tunes()))):
        row(f"{name} alone", iter(sounds))
        for over_db in OVER_DB:
            row(f"{name}, {over_db} dB over generated sound", mixed(sounds, beds, over_db))


if __name__ == "__main__":
    main()
