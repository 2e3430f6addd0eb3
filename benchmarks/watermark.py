"""Error rates of the watermark on foley: what is found after which treatment, what is found that is not there.

    python benchmarks/watermark.py attacks --media MEDIA --world CACHE [--generated FOLDER] [--half test] --save A.jsonl
    python benchmarks/watermark.py unmarked --world CACHE [--num-windows 30000] --save B.jsonl
    python benchmarks/watermark.py report A.jsonl... B.jsonl...
    python benchmarks/watermark.py speed

`report` prints tables for benchmarks/results; several processes may share the work and save their own files. The
clips are of three kinds: mixes of the world, recordings of actions with and
without a background, and sound that a model generated (a folder of .wav files without a mark). `--half tune` takes
every second clip, on which settings may be chosen; `--half test` the others.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from foleykit.audio.files import read_waveform
from foleykit.audio.loudness import measure_loudness
from foleykit.audio.resample import fit_length, resample
from foleykit.core.errors import MediaError
from foleykit.watermark import detect, embed
from foleykit.watermark.detection import FALSE_ALARM_RATE
from foleykit.world.cache import PCM_SCALE, CachedVideo, load_cached

RATE = 48_000
SECONDS = 8
KEY = b"foleykit"

Waveform = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Clip:
    name: str
    kind: str
    waveform: Waveform
    """(1, S) at RATE"""


def world_videos(*roots: Path) -> Iterator[CachedVideo]:
    for folder in sorted(path for root in roots for path in root.glob("*/[0-9]*") if path.is_dir()):
        yield load_cached(folder)


def world_mix(video: CachedVideo, variant: int) -> Waveform:
    """Return the mix (1, S) at the cache's rate."""
    stems = (video.action, video.off_screen, video.ambient[variant % len(video.ambient)])
    return np.sum([stem.astype(np.float32) for stem in stems], axis=0, dtype=np.float32)[None] / np.float32(PCM_SCALE)


def world_clips(root: Path, count: int) -> Iterator[Clip]:
    for number, video in enumerate(islice(world_videos(root), count)):
        mix = resample(world_mix(video, number), video.sample_rate, RATE)
        start = number * 7919 * 3 % max(1, mix.shape[-1] - SECONDS * RATE)
        yield Clip(name=f"world {number}", kind="world", waveform=mix[:, start : start + SECONDS * RATE])


def recorded_clips(media: Path, count: int) -> Iterator[Clip]:
    """Yield action recordings one after another with pauses: dry, and over a background 0 to 25 dB down."""
    rng = np.random.default_rng(7)
    files = {
        kind: [row["file"] for row in csv.DictReader((media / kind / "metadata.csv").open(encoding="utf-8"))]
        for kind in ("actions", "ambient")
    }

    def draw(kind: str) -> Waveform:
        file = files[kind][rng.integers(len(files[kind]))]
        return read_waveform(media / kind / file, sample_rate=RATE, mono=True)[0]

    for number in range(count):
        whole = np.zeros((1, SECONDS * RATE), np.float32)
        at = rng.uniform(0, 0.5)
        while at < SECONDS - 0.5:
            sound = draw("actions")
            start = int(at * RATE)
            part = whole[:, start : start + sound.shape[-1]]
            part += 0.7 * sound[:, : part.shape[-1]]
            at += sound.shape[-1] / RATE + rng.exponential(0.5)
        is_dry = number % 3 == 0
        if not is_dry:
            bed = draw("ambient")
            bed = np.tile(bed, (1, 1 + whole.shape[-1] // bed.shape[-1]))[:, : whole.shape[-1]]
            whole += bed * np.float32(10 ** (-rng.uniform(0, 25) / 20))
        whole /= max(1.0, float(np.abs(whole).max()) / 0.9)
        yield Clip(name=f"recorded {number}", kind="dry" if is_dry else "recorded", waveform=whole)


def generated_clips(folder: Path) -> Iterator[Clip]:
    for path in sorted(folder.glob("*.wav")):
        waveform = read_waveform(path, sample_rate=RATE, mono=True)[0][:, : SECONDS * RATE]
        if waveform.shape[-1] >= 4 * RATE:
            yield Clip(name=path.stem, kind="generated", waveform=waveform)


def coded(waveform: Waveform, codec: str, bit_rate: int, container: str) -> Waveform:
    """Return `waveform` after a file of `container` with `codec` was written and read as any player would."""
    layout = {1: "mono", 2: "stereo"}[waveform.shape[0]]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream({"mp3": "libmp3lame", "aac": "aac", "opus": "libopus"}[codec], RATE, layout=layout)
        stream.codec_context.bit_rate = bit_rate
        output.start_encoding()
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(waveform), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        context = stream.codec_context
        fitted = av.AudioResampler(
            format=context.format.name, layout=layout, rate=RATE, frame_size=context.frame_size or None
        )
        for piece in [*fitted.resample(frame), *fitted.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    file.seek(0)
    plain = av.AudioResampler(format="fltp", layout=layout, rate=RATE)
    with av.open(file) as reading:
        pieces = [part.to_ndarray() for frame in reading.decode(audio=0) for part in plain.resample(frame)]
    return np.concatenate(pieces, axis=-1)


def noise(waveform: Waveform, rng: np.random.Generator, *, snr_db: float, is_pink: bool = False) -> Waveform:
    drawn = rng.standard_normal(waveform.shape[-1])
    if is_pink:
        spectrum = np.fft.rfft(drawn)
        drawn = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), n=len(drawn))
    return waveform + (drawn * rms(waveform) / rms(drawn) * 10 ** (-snr_db / 20)).astype(np.float32)


def rms(values: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.square(values, dtype=np.float64).mean()))


def equalised(waveform: Waveform, gain_db: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Waveform:
    spectrum = np.fft.rfft(waveform)
    hertz = np.arange(spectrum.shape[-1]) * RATE / waveform.shape[-1]
    return np.fft.irfft(spectrum * 10 ** (gain_db(hertz) / 20), n=waveform.shape[-1]).astype(np.float32)


def at_speed(waveform: Waveform, speed: float) -> Waveform:
    """Return the sound as a tape that runs `speed` times as fast gives it: shorter and higher."""
    return resample(waveform, round(RATE * speed), RATE)


def programme(videos: list[Waveform], rng: np.random.Generator) -> Waveform:
    """Return 8 s (1, S) of another programme: the sound of a real video."""
    whole = videos[rng.integers(len(videos))]
    start = int(rng.integers(max(1, whole.shape[-1] - SECONDS * RATE)))
    return whole[:, start : start + SECONDS * RATE]


def mixed(waveform: Waveform, rng: np.random.Generator, videos: list[Waveform], below_db: float) -> Waveform:
    other = fit_length(programme(videos, rng), waveform.shape[-1])
    return waveform * np.float32(rms(other) / max(rms(waveform), 1e-9) * 10 ** (-below_db / 20)) + other


def crop(waveform: Waveform, rng: np.random.Generator, seconds: float) -> Waveform:
    start = int(rng.integers(max(1, waveform.shape[-1] - round(seconds * RATE))))
    return waveform[:, start : start + round(seconds * RATE)]


def chain(waveform: Waveform) -> Waveform:
    for source, target in ((48_000, 44_100), (44_100, 16_000), (16_000, 48_000)):
        waveform = resample(waveform, source, target)
    return waveform


def clipped(waveform: Waveform, share: float) -> Waveform:
    level = float(np.quantile(np.abs(waveform), 1 - share))
    return np.clip(waveform, -level, level)


def stereo(waveform: Waveform) -> Waveform:
    return np.concatenate([waveform, 0.6 * waveform])


def attacks(videos: list[Waveform]) -> dict[str, Callable[[Waveform, np.random.Generator], Waveform]]:
    """Return every treatment by the name of its row."""
    containers = [
        ("mp3", 128, "mp3"),
        ("mp3", 64, "mp3"),
        ("mp3", 64, "matroska"),
        ("aac", 128, "mp4"),
        ("aac", 64, "mp4"),
        ("aac", 64, "ipod"),
        ("opus", 128, "ogg"),
        ("opus", 64, "ogg"),
        ("opus", 64, "matroska"),
    ]
    names = {"ipod": "m4a", "matroska": "mkv"}
    table: dict[str, Callable[[Waveform, np.random.Generator], Waveform]] = {"none": lambda x, rng: x}
    for codec, rate, container in containers:
        row = f"{codec.upper() if codec != 'opus' else 'Opus'} {rate} kb/s, {names.get(container, container)}"
        table[row] = lambda x, rng, c=codec, r=rate, f=container: coded(x, c, 1000 * r, f)
    tilt = (-6.0, 6.0)
    table |= {
        "resampled 48-44.1-16-48 kHz": lambda x, rng: chain(x),
        "crop to 3 s": lambda x, rng: crop(x, rng, 3.0),
        "crop to 3 s, AAC 64 kb/s": lambda x, rng: crop(coded(x, "aac", 64_000, "mp4"), rng, 3.0),
        "crop to 5 s": lambda x, rng: crop(x, rng, 5.0),
        "start moved by 1 to 47,999 samples": lambda x, rng: x[:, int(rng.integers(1, 48_000)) :],
        "white noise, 20 dB": lambda x, rng: noise(x, rng, snr_db=20),
        "pink noise, 20 dB": lambda x, rng: noise(x, rng, snr_db=20, is_pink=True),
        "gain -12 dB": lambda x, rng: x * np.float32(0.25),
        "gain +12 dB, not clipped": lambda x, rng: x * np.float32(4),
        "1 % of samples clipped": lambda x, rng: clipped(x, 0.01),
        "polarity": lambda x, rng: -x,
        "stereo, one channel inverted": lambda x, rng: stereo(x) * np.array([[1], [-1]], np.float32),
        "stereo, mixed down to mono": lambda x, rng: stereo(x).mean(0, keepdims=True),
        "EQ, random, +-6 dB per octave band": lambda x, rng: equalised(x, octaves(rng, *tilt)),
        "high-pass 200 Hz and low-pass 6 kHz": lambda x, rng: equalised(x, band_pass),
        "speed -2 %": lambda x, rng: at_speed(x, 0.98),
        "speed +2 %": lambda x, rng: at_speed(x, 1.02),
        "speed, random within 2 %": lambda x, rng: at_speed(x, rng.uniform(0.98, 1.02)),
        "6 dB under another programme": lambda x, rng: mixed(x, rng, videos, 6.0),
        "as loud as another programme": lambda x, rng: mixed(x, rng, videos, 0.0),
    }
    return table


def octaves(rng: np.random.Generator, low: float, high: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    centres = 62.5 * 2.0 ** np.arange(9)
    gains = rng.uniform(low, high, len(centres))
    return lambda hertz: np.interp(np.log(np.maximum(hertz, 1)), np.log(centres), gains)


def band_pass(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where((hertz >= 200) & (hertz <= 6000), 0.0, -80.0)


def interval(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share."""
    z, share = 1.96, hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def run_attacks(args: argparse.Namespace) -> None:
    clips = [*world_clips(args.world, args.num_world), *recorded_clips(args.media, args.num_recorded)]
    if args.generated:
        clips += generated_clips(args.generated)
    clips = clips[(0 if args.half == "tune" else 1) :: 2][args.first :: args.every]
    sounds = (read_own_sound(path) for path in sorted((args.media / "videos").iterdir()))
    videos = [sound for sound in sounds if sound is not None]
    table = attacks(videos)
    names = [name for name in table if not args.only or any(word in name for word in args.only)]
    for number, clip in enumerate(clips):
        rng = np.random.default_rng((3, *clip.name.encode()))
        message = int(rng.integers(1 << 16))
        if rms(clip.waveform) == 0:
            continue
        marked = embed(clip.waveform, RATE, message, KEY)
        mark = marked.waveform - clip.waveform
        loudness = [measure_loudness(sound, RATE).integrated_lufs for sound in (mark, clip.waveform)]
        record: dict[str, Any] = {
            "name": clip.name,
            "kind": clip.kind,
            "snr_db": marked.snr_db,
            "loudness_lu": loudness[0] - loudness[1],
            "rows": {},
        }
        for name in names:
            heard = detect(np.asarray(table[name](marked.waveform, rng), np.float32), RATE, KEY)
            is_found = heard.verdict == "found"
            wrong_bits = None if heard.message is None else bin(heard.message ^ message).count("1")
            record["rows"][name] = (is_found, wrong_bits, heard.score)
            if args.verbose and not is_found:
                print(f"  missed: {clip.name} ({clip.kind}) {name}: {heard.score:.1f}, p {heard.p_value:.0e}")
        if args.verbose:
            print(f"{number + 1}/{len(clips)} {clip.name} SNR {marked.snr_db:.1f} dB", flush=True)
        append(args.save, record)


def append(path: Path, record: object) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def run_report(args: argparse.Namespace) -> None:
    records = [json.loads(line) for path in args.files for line in path.read_text(encoding="utf-8").splitlines()]
    # Shares of the work may overlap.
    clips = list({record["name"]: record for record in records if isinstance(record, dict)}.values())
    if clips:
        report_attacks(clips)
    p_values = [value for record in records if isinstance(record, list) for value in record]
    if p_values:
        report_unmarked(p_values)


def report_attacks(records: list[dict[str, Any]]) -> None:
    per_clip = [(record["kind"], record["snr_db"], record["loudness_lu"]) for record in records]
    kinds = sorted({record["kind"] for record in records})
    print("clips:", ", ".join(f"{sum(k == kind for k, _, _ in per_clip)} {kind}" for kind in kinds))
    print(
        "\n| treatment | found | 95 % interval | message read | bits right where read | score, median (lowest tenth) |"
    )
    print("|---|---|---|---|---|---|")
    for name in records[0]["rows"]:
        values = [record["rows"][name] for record in records]
        found, read = sum(value[0] for value in values), sum(value[1] is not None for value in values)
        low, high = interval(found, len(values))
        right = 1 - sum(value[1] or 0 for value in values) / max(1, 16 * read)
        scores = np.array([value[2] for value in values])
        print(
            f"| {name} | {100 * found / len(values):.1f} % | {100 * low:.1f} to {100 * high:.1f} | "
            f"{100 * read / len(values):.1f} % | {100 * right:.2f} % | {np.median(scores):.1f} "
            f"({np.quantile(scores, 0.1):.1f}) |"
        )
    print("\n| clips | SNR of the mark, median dB | lowest | highest | its loudness against the sound's, median LU |")
    print("|---|---|---|---|---|")
    for kind in [*kinds, "all"]:
        chosen = [(snr, loud) for k, snr, loud in per_clip if kind in (k, "all")]
        snr = np.array([value[0] for value in chosen])
        loud = np.array([value[1] for value in chosen if math.isfinite(value[1])])
        loudness = f"{np.median(loud):.1f}" if loud.size else "under the gate"
        print(f"| {kind} | {np.median(snr):.1f} | {snr.min():.1f} | {snr.max():.1f} | {loudness} |")


def read_own_sound(path: Path) -> Waveform | None:
    try:
        sound = read_waveform(path, sample_rate=RATE, mono=True)[0]
    except MediaError:
        return None
    return sound if sound.shape[-1] >= 3 * RATE and rms(sound) > 1e-3 else None


def run_unmarked(args: argparse.Namespace) -> None:
    """Search unmarked windows of 3 s as whole files, and say how often and how convincingly something is found."""
    rng = np.random.default_rng((1, args.first))
    done = 0
    for turn in range(4):
        for video in islice(world_videos(*args.world), args.first, None, args.every):
            for variant in range(len(video.ambient)):
                mix = world_mix(video, variant)
                # A key of its own for every window; windows of a second turn lie between those of the first.
                begin = turn * 3 * video.sample_rate // 4
                p_values = []
                for start in range(begin, mix.shape[-1] - 3 * video.sample_rate + 1, 3 * video.sample_rate):
                    key = rng.bytes(8)
                    window = mix[:, start : start + 3 * video.sample_rate]
                    p_values.append(detect(window, video.sample_rate, key).p_value)
                append(args.save, p_values)
                done += len(p_values)
            if done >= args.num_windows:
                return


def report_unmarked(p_values: list[float]) -> None:
    values = np.sort(p_values)
    hits = int((values <= FALSE_ALARM_RATE).sum())
    print(f"{len(values)} windows of 3 s, every one searched at all offsets and 11 speeds")
    print(f"found: {hits}; 95 % upper bound of the rate: {upper_bound(hits, len(values)):.1e}")
    print("\n| p at most | expected | observed |\n|---|---|---|")
    for limit in (0.5, 0.1, 0.01, 1e-3, 1e-4, 1e-5):
        print(f"| {limit:g} | {limit * len(values):.1f} | {int((values <= limit).sum())} |")


def upper_bound(hits: int, total: int) -> float:
    """Return the exact (Clopper-Pearson, one-sided 95 %) upper bound of a rate, by bisection."""
    low, high = hits / total, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        chance = sum(
            math.exp(
                math.lgamma(total + 1)
                - math.lgamma(k + 1)
                - math.lgamma(total - k + 1)
                + k * math.log(middle)
                + (total - k) * math.log1p(-middle)
            )
            for k in range(hits + 1)
        )
        low, high = (middle, high) if chance > 0.05 else (low, middle)
    return high


def run_speed(args: argparse.Namespace) -> None:
    """Print times real time, processor seconds of one core."""
    rng = np.random.default_rng(0)
    envelope = np.exp(-8 * (np.arange(10 * RATE) / RATE % 0.7))
    print("| 10 s of | embed | detect, marked | detect, unmarked |\n|---|---|---|---|")
    for name, rate, channels in (("16 kHz mono", 16_000, 1), ("48 kHz mono", 48_000, 1), ("48 kHz stereo", 48_000, 2)):
        noise_ = rng.standard_normal((channels, 10 * rate)) * np.interp(
            np.arange(10 * rate) / rate, np.arange(10 * RATE) / RATE, envelope
        )
        sound = (0.1 * noise_).astype(np.float32)
        marked = embed(sound, rate, 1, KEY).waveform
        figures = [
            timed(lambda s=sound, r=rate: embed(s, r, 1, KEY)),
            timed(lambda m=marked, r=rate: detect(m, r, KEY)),
            timed(lambda s=sound, r=rate: detect(s, r, KEY)),
        ]
        print(f"| {name} | " + " | ".join(f"{1000 * value:.0f} ms, {10 / value:.0f}x" for value in figures) + " |")


def timed(work: Callable[[], object], runs: int = 7) -> float:
    work()
    seconds = []
    for _ in range(runs):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return float(np.median(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    attack = commands.add_parser("attacks")
    attack.add_argument("--media", type=Path, required=True)
    attack.add_argument("--world", type=Path, required=True)
    attack.add_argument("--generated", type=Path)
    attack.add_argument("--num-world", type=int, default=180)
    attack.add_argument("--num-recorded", type=int, default=180)
    attack.add_argument("--half", choices=("tune", "test"), default="test")
    attack.add_argument("--first", type=int, default=0, help="Clip to begin with.")
    attack.add_argument("--every", type=int, default=1, help="Take every N-th clip.")
    attack.add_argument("--save", type=Path, required=True)
    attack.add_argument("--only", nargs="*")
    attack.add_argument("--verbose", action="store_true")
    attack.set_defaults(run=run_attacks)
    unmarked = commands.add_parser("unmarked")
    unmarked.add_argument("--world", type=Path, required=True, nargs="+")
    unmarked.add_argument("--first", type=int, default=0, help="Video to begin with.")
    unmarked.add_argument("--every", type=int, default=1, help="Take every N-th video.")
    unmarked.add_argument("--save", type=Path, required=True)
    unmarked.add_argument("--num-windows", type=int, default=30_000)
    unmarked.set_defaults(run=run_unmarked)
    report = commands.add_parser("report")
    report.add_argument("files", type=Path, nargs="+")
    report.set_defaults(run=run_report)
    speed = commands.add_parser("speed")
    speed.set_defaults(run=run_speed)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
