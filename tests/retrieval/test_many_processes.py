"""Writers that die or compete: what was acknowledged stays, and the index is always readable."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from foleykit.retrieval import Backend, create_index, open_index
from foleykit.retrieval.types import EmbeddingSpace

SPACE = EmbeddingSpace(model_id="towers:1", num_dimensions=32)
ROWS_PER_APPEND = 50

# Vectors follow from the number in the key, so that a reader can tell a whole row from a torn one.
WRITER = """
import sys
import numpy as np
from foleykit.retrieval import open_index
from foleykit.retrieval.types import LibraryClip, LibraryRow

location, first, appends = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
index = open_index(location)
for turn in range(appends):
    numbers = range(first + turn * 50, first + (turn + 1) * 50)
    index.append([
        LibraryRow(
            clip=LibraryClip(key=str(n), ambient_db=-float(n % 90), scene=f"scene {n % 7}"),
            embedding=np.random.default_rng(n).standard_normal(32).astype(np.float32),
            model_id="towers:1",
            audio=str(n).encode() * 100,
        )
        for n in numbers
    ])
    print(numbers.stop, flush=True)
"""


def start_writer(location: Path, first: int, appends: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(location), str(first), str(appends)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def check_whole(location: Path, numbers: range) -> None:
    """Every row of `numbers` is there with its own vector, level, scene and sound."""
    index = open_index(location, SPACE)
    assert index.known(str(number) for number in numbers) == {str(number) for number in numbers}
    for number in numbers[:: max(1, len(numbers) // 20)]:
        vector = np.random.default_rng(number).standard_normal(32).astype(np.float32)
        match = index.search(vector, num_matches=1)[0]
        assert match.clip.key == str(number) and match.score == pytest.approx(1, abs=1e-5)
        assert (match.clip.ambient_db, match.clip.scene) == (-float(number % 90), f"scene {number % 7}")
        assert index.read_audio(str(number)) == str(number).encode() * 100
    index.close()


@pytest.mark.parametrize("after", [1, 6])
def test_a_killed_writer_loses_nothing_it_had_committed(tmp_path: Path, backend: Backend, after: int) -> None:
    location = tmp_path / "library"
    create_index(location, SPACE, backend=backend).close()
    writer = start_writer(location, 0, 100_000)
    assert writer.stdout is not None
    for _ in range(after):
        acknowledged = int(writer.stdout.readline())
    # Die in the middle of an append rather than between two.
    time.sleep(0.004 * after)
    writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
    index = open_index(location, SPACE)
    assert len(index) >= acknowledged and len(index) % ROWS_PER_APPEND == 0
    check_whole(location, range(len(index)))
    # The next writer goes on where the dead one stopped.
    following = start_writer(location, len(index), 2)
    assert following.wait(timeout=60) == 0
    check_whole(location, range(len(index)))


def test_two_processes_append_at_the_same_time(tmp_path: Path, backend: Backend) -> None:
    location = tmp_path / "library"
    create_index(location, SPACE, backend=backend).close()
    writers = [start_writer(location, first, 10) for first in (0, 500)]
    reader = open_index(location, SPACE)
    while any(writer.poll() is None for writer in writers):
        assert len(reader) % ROWS_PER_APPEND == 0
        assert len(reader.search(np.ones(32, np.float32), num_matches=5)) in (0, 5)
        time.sleep(0.05)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(reader) == 1000
    check_whole(location, range(1000))


def test_two_processes_that_append_the_same_clips_store_them_once(tmp_path: Path, backend: Backend) -> None:
    location = tmp_path / "library"
    create_index(location, SPACE, backend=backend).close()
    writers = [start_writer(location, 0, 8) for _ in range(2)]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    assert len(open_index(location)) == 8 * ROWS_PER_APPEND
    check_whole(location, range(8 * ROWS_PER_APPEND))
