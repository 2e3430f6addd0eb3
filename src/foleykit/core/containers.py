"""What every opening of a media container has in common."""

from __future__ import annotations

from typing import Any

import av

# Names and places in tags are often not UTF-8; they must survive a copy, and never stop one. PyAV 19 does so unasked.
TAGS_AS_BYTES: dict[str, Any] = (
    {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "surrogateescape"}
)
