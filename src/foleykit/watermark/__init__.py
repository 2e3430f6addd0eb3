"""A keyed mark in generated sound that can be found again: `embed` and `detect`."""

from foleykit.watermark.code import PUBLIC_KEY
from foleykit.watermark.detection import Detection, Verdict, detect, detect_parts
from foleykit.watermark.embedding import Marked, embed

__all__ = ["PUBLIC_KEY", "Detection", "Marked", "Verdict", "detect", "detect_parts", "embed"]
