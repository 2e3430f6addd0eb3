"""Build time, query latency, size, memory and recall of both index backends, beside brute force on a bare matrix.

    python benchmarks/retrieval.py [--num-clips 200000] [--num-queries 100] [--backends sqlite lancedb]

Prints tables for benchmarks/results. Each backend is built in one process and asked in another, so that memory is its
own. A ratio compares processor time: of a search with that of brute force over everything, of a build with that of the
cheapest. The vectors are drawn around a few thousand centres, as embeddings of places are; the filter lets one clip in
twenty pass.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foleykit.retrieval import create_index, open_index
from foleykit.retrieval.filters import EVERYTHING, RowFilter, parse_filter
from foleykit.retrieval.types import EmbeddingSpace, LibraryClip, LibraryRow, VectorIndex

WIDTH = 256
SPACE = EmbeddingSpace(model_id="benchmark", num_dimensions=WIDTH)
BLOCK = 10_000
NUM_CENTRES = 4000
NUM_MATCHES = 10
SCENES = tuple(f"scene {number}" for number in range(10))
FILTER = 'ambient_db < -50 and scene = "scene 3"'
APPENDED = 100

Vectors = NDArray[np.float32]


def draw(num: int, seed: int) -> Vectors:
    """Return unit vectors (num, WIDTH) around the centres."""
    centres = np.random.default_rng(0).standard_normal((NUM_CENTRES, WIDTH), np.float32)
    rng = np.random.default_rng((1, seed))
    # Half as far from its centre as centres are from each other.
    vectors = centres[rng.integers(NUM_CENTRES, size=num)] + 0.7 * rng.standard_normal((num, WIDTH), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def blocks(num_clips: int) -> Iterator[list[LibraryRow]]:
    """Yield the library in lists of rows."""
    for first in range(0, num_clips, BLOCK):
        vectors = draw(min(BLOCK, num_clips - first), first)
        yield [row_of(first + offset, vector) for offset, vector in enumerate(vectors)]


def row_of(number: int, vector: Vectors) -> LibraryRow:
    level, scene = level_and_scene(number)
    clip = LibraryClip(
        key=f"videos/{number // 100:06}.mp4#{number % 100}",
        ambient_db=level,
        scene=SCENES[scene],
        captions=("a hand moves something",),
        licence="CC0-1.0",
        source=f"videos/{number // 100:06}.mp4",
        start=3.0 * (number % 100),
        seconds=3.0,
    )
    return LibraryRow(clip=clip, embedding=vector, model_id=SPACE.model_id)


def level_and_scene(number: int) -> tuple[float, int]:
    """Return a level spread evenly over -80 to -20 dBFS and one of ten scenes, independent of each other."""
    return -80 + 60 * (number * 0.6180339887 % 1), number % 10


def peak_mb() -> float:
    # Not ru_maxrss, which a new process inherits from the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def folder_mb(path: Path) -> float:
    """Return the size of an index with everything that lies beside it."""
    files = path.rglob("*") if path.is_dir() else path.parent.glob(path.name + "*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def build(backend: str, location: Path, num_clips: int) -> dict[str, float]:
    """Append the library in blocks; the time to draw it is left out."""
    index = create_index(location, SPACE, backend=backend)  # type: ignore[arg-type]
    seconds = used = 0.0
    for rows in blocks(num_clips):
        started, before = time.perf_counter(), time.process_time()
        added = index.append(rows)
        used += time.process_time() - before
        seconds += time.perf_counter() - started
        assert added == len(rows)
    index.close()
    return {"build_s": seconds, "build_cpu_s": used, "build_peak_mb": peak_mb(), "disk_mb": folder_mb(location)}


def put_in_order(location: Path) -> dict[str, float]:
    index = open_index(location, SPACE)
    started = time.perf_counter()
    index.optimise()
    return {
        "optimise_cpu_s": time.process_time(),
        "optimise_s": time.perf_counter() - started,
        "optimise_peak_mb": peak_mb(),
        "optimised_disk_mb": folder_mb(location),
    }


def ask(location: Path, num_clips: int, num_queries: int, num_asked: int) -> dict[str, Any]:
    """Time the first `num_asked` queries one by one in a fresh process."""
    queries = draw(num_queries, num_clips + 1)[:num_asked]
    before = resident_mb()
    started = time.perf_counter()
    index = open_index(location, SPACE)
    index.search(queries[0], num_matches=NUM_MATCHES)
    result: dict[str, Any] = {"first_s": time.perf_counter() - started}
    for name, where in (("all", EVERYTHING), ("filter", parse_filter(FILTER))):
        result[name] = timed(lambda query, where=where: keys(index, query, where), queries)
    result["memory_mb"] = resident_mb() - before
    return result


def append_some(location: Path, num_clips: int) -> dict[str, float]:
    """Time appends of a hundred rows to the full index, each committed."""
    index = open_index(location, SPACE)
    millis = []
    for turn in range(20):
        first = num_clips + turn * APPENDED
        rows = [row_of(first + offset, vector) for offset, vector in enumerate(draw(APPENDED, first))]
        started = time.perf_counter()
        assert index.append(rows) == APPENDED
        millis.append(1000 * (time.perf_counter() - started))
    return {"append_p50": float(np.percentile(millis, 50))}


def brute_force(num_clips: int, num_queries: int) -> dict[str, Any]:
    """A bare matrix and bare masks in memory: the truth, and the unit of time."""
    matrix = np.empty((num_clips, WIDTH), np.float32)
    for first in range(0, num_clips, BLOCK):
        matrix[first : first + BLOCK] = draw(min(BLOCK, num_clips - first), first)
    facts = [level_and_scene(number) for number in range(num_clips)]
    levels, scenes = np.array([level for level, _ in facts]), np.array([scene for _, scene in facts], np.int8)
    queries = draw(num_queries, num_clips + 1)

    def everything(query: Vectors) -> list[str]:
        return names(best_of(matrix @ query))

    def filtered(query: Vectors) -> list[str]:
        rows = np.flatnonzero((levels < -50) & (scenes == 3))
        return names(rows[best_of(matrix[rows] @ query)])

    result: dict[str, Any] = {}
    for name, answer in (("all", everything), ("filter", filtered)):
        answer(queries[0])
        result[name] = timed(answer, queries)
    return result


def best_of(scores: Vectors) -> NDArray[np.intp]:
    best = np.argpartition(scores, -NUM_MATCHES)[-NUM_MATCHES:]
    return best[np.argsort(-scores[best])]


def names(rows: NDArray[np.intp]) -> list[str]:
    return [f"videos/{number // 100:06}.mp4#{number % 100}" for number in rows.tolist()]


def keys(index: VectorIndex, query: Vectors, where: RowFilter) -> list[str]:
    return [match.clip.key for match in index.search(query, num_matches=NUM_MATCHES, where=where)]


def timed(answer: Callable[[Vectors], list[str]], queries: Vectors) -> dict[str, Any]:
    """Return the answers and their milliseconds, by the clock and by the processor, after five that do not count."""
    for query in queries[:5]:
        answer(query)
    found, millis, used = [], [], []
    for query in queries:
        started, before = time.perf_counter(), time.process_time()
        found.append(answer(query))
        used.append(1000 * (time.process_time() - before))
        millis.append(1000 * (time.perf_counter() - started))
    p50, p95 = np.percentile(millis, [50, 95]).tolist()
    return {"keys": found, "p50": p50, "p95": p95, "cpu": float(np.percentile(used, 50))}


def recall(found: list[list[str]], truth: list[list[str]]) -> float:
    truth = truth[: len(found)]
    hits = sum(len(set(a) & set(b)) for a, b in zip(found, truth, strict=True))
    return hits / sum(map(len, truth))


def in_its_own_process(
    step: str, location: Path, options: argparse.Namespace, *, backend: str = "", num_asked: int = 0
) -> dict[str, Any]:
    command = [sys.executable, __file__, "--step", step, "--location", str(location), "--backends", backend or "sqlite"]
    command += ["--num-clips", str(options.num_clips), "--num-queries", str(options.num_queries)]
    command += ["--num-asked", str(num_asked)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result = dict(json.loads(done.stdout))
    numbers = {name: round(value, 3) for name, value in result.items() if isinstance(value, float)}
    print(f"{step} {backend} {numbers}", file=sys.stderr, flush=True)
    return result


def run_step(options: argparse.Namespace) -> dict[str, Any]:
    match options.step:
        case "build":
            return build(options.backends[0], options.location, options.num_clips)
        case "optimise":
            return put_in_order(options.location)
        case "ask":
            return ask(
                options.location, options.num_clips, options.num_queries, options.num_asked or options.num_queries
            )
        case "append":
            return append_some(options.location, options.num_clips)
        case step:
            raise SystemExit(f"no step {step}")


def show(name: str, asked: dict[str, Any], truth: dict[str, Any]) -> None:
    cells = []
    for part in ("all", "filter"):
        p50, p95 = asked[part]["p50"], asked[part]["p95"]
        cells += [
            f"{p50:.1f} / {p95:.1f}",
            f"{asked[part]['cpu']:.1f}",
            f"{asked[part]['cpu'] / truth['all']['cpu']:.3f}",
            f"{recall(asked[part]['keys'], truth[part]['keys']):.3f}",
        ]
    first = f"{asked['first_s']:.2f}" if "first_s" in asked else "-"
    memory = f"{asked['memory_mb']:.0f}" if "memory_mb" in asked else f"{4 * WIDTH * truth['num_clips'] / 1e6:.0f}"
    print(f"| {name} | {' | '.join(cells)} | {first} | {memory} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-clips", type=int, default=200_000)
    parser.add_argument("--num-queries", type=int, default=100)
    parser.add_argument("--backends", nargs="+", choices=("sqlite", "lancedb"), default=["sqlite", "lancedb"])
    parser.add_argument("--folder", type=Path, help="Where the indexes are put; default: a temporary folder.")
    parser.add_argument(
        "--num-unindexed", type=int, default=0, help="Queries to LanceDB before it has a vector index; 0 is all."
    )
    parser.add_argument("--num-asked", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--location", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(run_step(options)))
        return
    truth = brute_force(options.num_clips, options.num_queries) | {"num_clips": options.num_clips}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measured(options, Path(folder), truth)


def measured(options: argparse.Namespace, folder: Path, truth: dict[str, Any]) -> None:
    print(
        f"{options.num_clips} clips of {WIDTH} dimensions, {options.num_queries} queries, {NUM_MATCHES} matches each\n"
    )
    built: dict[str, dict[str, Any]] = {}
    print(
        "| search | all p50 / p95 ms | CPU ms | ratio | recall@10 | filter p50 / p95 ms | CPU ms | ratio | recall@10 "
        "| open and first s | memory MB |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    show("brute force, numpy", truth, truth)
    for backend in options.backends:
        location = folder / f"library.{backend}"
        built[backend] = in_its_own_process("build", location, options, backend=backend)
        num_asked = options.num_unindexed if backend == "lancedb" else 0
        show(backend, in_its_own_process("ask", location, options, num_asked=num_asked), truth)
        built[backend] |= in_its_own_process("optimise", location, options)
        if backend == "lancedb":
            show("lancedb, vector index", in_its_own_process("ask", location, options), truth)
        built[backend] |= in_its_own_process("append", location, options)
    fastest = min(values["build_cpu_s"] for values in built.values())
    heads = (
        "build",
        "s",
        "CPU s",
        "ratio",
        "clips/s",
        "disk MB",
        "peak MB",
        "put in order s",
        "CPU s",
        "disk MB",
        "peak MB",
    )
    heads += (f"append {APPENDED} p50 ms",)
    print(f"\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for backend, values in built.items():
        cells = [
            f"{values['build_s']:.1f}",
            f"{values['build_cpu_s']:.1f}",
            f"{values['build_cpu_s'] / fastest:.2f}",
            f"{math.floor(options.num_clips / values['build_s'])}",
            f"{values['disk_mb']:.0f}",
            f"{values['build_peak_mb']:.0f}",
            f"{values['optimise_s']:.1f}",
            f"{values['optimise_cpu_s']:.1f}",
            f"{values['optimised_disk_mb']:.0f}",
            f"{values['optimise_peak_mb']:.0f}",
            f"{values['append_p50']:.1f}",
        ]
        print(f"| {backend} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
