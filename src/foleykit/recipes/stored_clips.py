"""What frozen parts make of prepared clips, stored beside them by all processes that train together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

from foleykit.core.progress import Report
from foleykit.data.shards import ClipShards, cache_values
from foleykit.training.processes import join_processes


def store_together(
    shards: ClipShards,
    name: str,
    encode: Callable[[ClipShards, Sequence[int]], Iterable[NDArray[Any]]],
    device: str,
    report: Report,
) -> None:
    """Store `encode(shards, positions)`, one array per clip, for every shard that has no "name" yet.

    Processes that train together share the work, and each returns when all of it is done. A killed call goes on at the
    shard it was at.
    """
    processes = join_processes(device)
    cache_values(shards, name, encode, report, part=processes.rank, num_parts=processes.count)
    processes.wait()
