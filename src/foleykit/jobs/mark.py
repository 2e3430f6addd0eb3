"""The watermark in a generated soundtrack, and the key that it is written with."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from foleykit.core.errors import UsageError
from foleykit.core.signals import blocks_of
from foleykit.jobs.soundtrack import Soundtrack, Watermark
from foleykit.jobs.speech import Speech, Utterance
from foleykit.watermark import PUBLIC_WATERMARKER, KeyedWatermarker, Watermarker
from foleykit.watermark.detection import SPEED_RANGE
from foleykit.watermark.spectrum import HOP, RATE

_LEAST_KEY_BYTES = 16


def mark(soundtrack: Soundtrack, watermarker: Watermarker = PUBLIC_WATERMARKER) -> Soundtrack:
    """Return `soundtrack` with the mark in its generated part, in its action stem and in its speech.

    The message is the first 16 bits of the SHA-256 of the unmarked samples: it names the take and nothing else, and a
    replay writes the same one. The original sound is not touched.
    """
    digest = hashlib.sha256()
    for block in blocks_of(soundtrack.generated):
        digest.update(np.ascontiguousarray(block).data)
    content = digest.hexdigest()
    message = content[:4]
    parts = () if soundtrack.action is None else (soundtrack.action,)
    marked = watermarker.embed(soundtrack.generated, soundtrack.model_rate, int(message, 16), parts=parts)
    return replace(
        soundtrack,
        generated=marked.waveform,
        action=marked.parts[0] if marked.parts else None,
        speech=_marked_speech(soundtrack.speech, int(message, 16), watermarker, marked.shift),
        watermark=Watermark(
            message=message,
            content_sha256=content,
            key=watermarker.name,
            snr_db=round(marked.snr_db, 1) if math.isfinite(marked.snr_db) else None,
            shift=marked.shift,
        ),
    )


def mark_like(soundtrack: Soundtrack, watermark: Watermark, watermarker: Watermarker) -> Soundtrack:
    """Return `soundtrack` with the mark of an earlier version of it: the same message at the same places."""
    parts = () if soundtrack.action is None else (soundtrack.action,)
    message = int(watermark.message, 16)
    marked = watermarker.embed(soundtrack.generated, soundtrack.model_rate, message, parts=parts, shift=watermark.shift)
    return replace(
        soundtrack,
        generated=marked.waveform,
        action=marked.parts[0] if marked.parts else None,
        speech=_marked_speech(soundtrack.speech, message, watermarker, marked.shift),
        watermark=watermark,
    )


def _marked_speech(speech: Speech | None, message: int, watermarker: Watermarker, shift: int) -> Speech | None:
    """Return `speech` with the pattern that runs through the generated sound, so that the sum carries one mark."""
    if speech is None:
        return None
    grid = HOP * speech.sample_rate // RATE

    def marked(utterance: Utterance) -> Utterance:
        hops, before = divmod(utterance.first, grid)
        sound = np.pad(utterance.waveform, ((0, 0), (before, 0)))
        with_mark = watermarker.embed(sound, speech.sample_rate, message, shift=shift + hops).waveform
        return replace(utterance, waveform=with_mark[:, before : sound.shape[1]])

    return replace(speech, utterances=tuple(map(marked, speech.utterances)))


def read_key(path: Path) -> bytes:
    """Return the key in a file, without white space around it; raises UsageError for one that is missing or short."""
    if not path.is_file():
        raise UsageError(
            f"{path}: no such file; a watermark key is a file with {_LEAST_KEY_BYTES} random bytes or more"
        )
    key = path.read_bytes().strip()
    if len(key) < _LEAST_KEY_BYTES:
        raise UsageError(
            f"{path} holds {len(key)} bytes; a watermark key needs at least {_LEAST_KEY_BYTES} random ones"
        )
    return key


def watermarker_of(key: Path | None, audioseal: Path | None, *, speed_range: float | None = None) -> Watermarker:
    """Return what marks and detects, given the file of a key or the folder of AudioSeal's networks, or neither.

    `speed_range` is the largest change of speed that is looked for. Raises UsageError for both, for AudioSeal with a
    speed range, for a file or folder that is missing, and without the package audioseal.
    """
    if audioseal is not None:
        if key is not None:
            raise UsageError("AudioSeal's mark has no key; give a watermark key or AudioSeal's folder, not both")
        if speed_range is not None:
            raise UsageError("AudioSeal's detector does not look for changes of speed; leave the speed range out")
        from foleykit.watermark.audioseal import AudioSealWatermarker

        return AudioSealWatermarker.load(audioseal)
    searched = SPEED_RANGE if speed_range is None else speed_range
    if key is None:
        return replace(PUBLIC_WATERMARKER, speed_range=searched)
    return KeyedWatermarker(key=read_key(key), speed_range=searched)
