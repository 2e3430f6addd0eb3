"""A mark in generated sound that can be found again: our own keyed one, `embed` and `detect`, or AudioSeal's."""

from foleykit.watermark.code import PUBLIC_KEY
from foleykit.watermark.detection import Detection, Verdict, detect, detect_parts
from foleykit.watermark.embedding import Marked, embed
from foleykit.watermark.watermarker import PUBLIC_WATERMARKER, KeyedWatermarker, Watermarker

__all__ = [
    "PUBLIC_KEY",
    "PUBLIC_WATERMARKER",
    "Detection",
    "KeyedWatermarker",
    "Marked",
    "Verdict",
    "Watermarker",
    "detect",
    "detect_parts",
    "embed",
]
