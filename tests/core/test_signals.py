"""Signals on disk are read and written as arrays are."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foleykit.core import signals
from foleykit.core.errors import MediaError
from foleykit.core.signals import between, blocks_of, stretch, write_blocks, zeros


@pytest.fixture(params=["memory", "disk"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(signals, "IN_MEMORY_BYTES", 2**20 if request.param == "memory" else 0)
    return request.param


def noise(num_channels: int, num_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((num_channels, num_samples)).astype(np.float32)


@pytest.mark.parametrize("num_channels", [1, 2])
def test_what_is_written_is_read_and_the_rest_is_silent(place: str, num_channels: int) -> None:
    signal = zeros(num_channels, 1000)
    assert isinstance(signal, np.ndarray) == (place == "memory") and signal.shape == (num_channels, 1000)
    expected = np.zeros((num_channels, 1000), np.float32)
    rng = np.random.default_rng(3)
    for seed in range(20):
        start, stop = sorted(rng.integers(0, 1001, 2).tolist())
        signal[:, start:stop] = expected[:, start:stop] = noise(num_channels, stop - start, seed)
        first, last = rng.integers(0, 1200, 2).tolist()
        np.testing.assert_array_equal(signal[:, first:last], expected[:, first:last])
    np.testing.assert_array_equal(signal[:, :], expected)
    part = stretch(signal, 300, 1200)
    assert part.shape == (num_channels, 700)
    np.testing.assert_array_equal(part[:, 650:800], expected[:, 950:])
    np.testing.assert_array_equal(np.concatenate(list(blocks_of(part, 99)), axis=1), expected[:, 300:])


@pytest.mark.parametrize(("at", "room"), [(0, 250), (30, 250), (0, 100), (90, 100), (200, 100)])
def test_blocks_go_where_there_is_room(place: str, at: int, room: int) -> None:
    sound = noise(1, 200)
    expected = np.zeros((1, room), np.float32)
    expected[:, at : at + 200] = sound[:, : max(0, room - at)]
    np.testing.assert_array_equal(write_blocks(zeros(1, room), blocks_of(sound, 70), at=at)[:, :], expected)


@given(st.lists(st.integers(0, 40), max_size=6), st.integers(0, 150), st.integers(0, 150))
def test_what_lies_between_is_cut_out_of_blocks(sizes: list[int], start: int, stop: int) -> None:
    whole = noise(2, sum(sizes))
    blocks = np.split(whole, np.cumsum(sizes)[:-1], axis=1) if sizes else []
    parts = [whole[:, :0], *between(blocks, start, stop)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole[:, start:stop])


def test_a_file_goes_with_its_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "IN_MEMORY_BYTES", 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        signal = zeros(1, 10)
        file = signal._file  # type: ignore[attr-defined]
        del signal
    assert file.closed


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(signals, "IN_MEMORY_BYTES", 0)
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    signal = zeros(1, 10)
    signal._file = full.open("wb")  # type: ignore[attr-defined]
    with pytest.raises(MediaError, match=r"No space left.*TMPDIR"):
        signal[:, :] = noise(1, 10)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(MediaError, match="missing"):
        zeros(1, 10)
