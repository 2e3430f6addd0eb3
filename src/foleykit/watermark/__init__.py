"""A keyed mark in generated sound that can be found again: `embed` and `detect`."""

from foleykit.watermark.code import PUBLIC_KEY
from foleykit.watermark.detect import Detection, Verdict, detect
from foleykit.watermark.embed import Marked, embed

__all__ = ["PUBLIC_KEY", "Detection", "Marked", "Verdict", "detect", "embed"]
