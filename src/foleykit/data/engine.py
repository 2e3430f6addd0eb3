"""Run one function over many items, on this machine's cores or on a Ray cluster; the results do not tell which."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, Literal, TypeVar, assert_never

from foleykit.core.errors import ConfigError
from foleykit.core.threads import THREAD_VARIABLES, one_thread_each

Engine = Literal["local", "ray"]
Item = TypeVar("Item")
Result = TypeVar("Result")


def run_step(
    step: Callable[[Item], Result], items: Sequence[Item], *, engine: Engine = "local", workers: int = 1
) -> Iterator[Result]:
    """Yield `step(item)` for every item, in order; an exception of a step is raised here.

    `step`, items and results must pickle. The local engine uses `workers` processes, or this one for 0. The Ray engine
    uses the cluster that this program is connected to, or starts one of `workers` cores on this machine; all its
    machines must see the same files. Raises ConfigError when Ray is not installed.
    """
    match engine:
        case "local":
            yield from map(step, items) if workers < 1 else _pool(step, items, workers)
        case "ray":
            yield from _ray(step, items, max(1, workers))
        case _:
            assert_never(engine)


def _pool(step: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    context = multiprocessing.get_context("spawn")
    with one_thread_each(), ProcessPoolExecutor(min(workers, max(1, len(items))), context) as pool:
        pending: deque[Future[Result]] = deque()
        queue = iter(items)
        try:
            while True:
                # A short queue keeps an interrupt quick: only items in work are lost.
                while len(pending) < 2 * workers and (item := next(queue, _END)) is not _END:
                    pending.append(pool.submit(step, item))  # type: ignore[arg-type]
                if not pending:
                    return
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_END = object()


class _PickledStep:
    """A step over the rows of a Ray data set, whose columns hold pickled values."""

    def __init__(self, step: Callable[[Any], Any]) -> None:
        self._step = step

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"result": pickle.dumps(self._step(pickle.loads(row["item"])))}


def _ray(step: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError("the engine \"ray\" needs Ray: pip install 'foleykit[cluster]'") from error
    is_ours = not ray.is_initialized()
    if is_ours:
        ray.init(
            num_cpus=workers,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            runtime_env={"env_vars": dict.fromkeys(THREAD_VARIABLES, "1")},
        )
    try:
        if not items:
            return
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        # One block per item: steps are long, and a block is what Ray hands to a core and retries.
        rows = ray.data.from_items([{"item": pickle.dumps(item)} for item in items], override_num_blocks=len(items))
        for row in rows.map(_PickledStep(step)).iter_rows():
            yield pickle.loads(row["result"])
    finally:
        if is_ours:
            ray.shutdown()
