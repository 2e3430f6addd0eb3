"""Clips in tar files of the WebDataset layout, with an index for reading any clip directly.

    folder/plan.json             what the shards hold and how they were made
    folder/shard-000000.tar      clip_id.mp4 (pictures), clip_id.flac (sound), clip_id.json (the record)
    folder/shard-000000.json     where its members lie, and what was left out of it
    folder/index.jsonl           one line per clip, in the order of the manifest
    folder/shard-000000.NAME.tar clip_id.npy: cached values of a later step under the same keys

Any WebDataset reader can train from the tar files; `ClipShards` needs none.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from foleykit.core.errors import InputError, MediaError
from foleykit.core.progress import Report, no_report
from foleykit.data.manifest import ClipRecord

INDEX_NAME = "index.jsonl"


class ShardWriter:
    """One tar file that appears when it is complete; equal members give equal bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.part")
        self._tar: tarfile.TarFile | None = None

    def __enter__(self) -> ShardWriter:
        self._tar = tarfile.open(self._partial, "w", format=tarfile.GNU_FORMAT)
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        assert self._tar is not None
        self._tar.close()
        if kind is None:
            self._partial.replace(self._path)
        else:
            self._partial.unlink(missing_ok=True)

    def add(self, key: str, members: Mapping[str, bytes]) -> dict[str, tuple[int, int]]:
        """Append one sample, its members by suffix; return (offset, size) of each in the file."""
        assert self._tar is not None
        places = {}
        for suffix, data in members.items():
            info = tarfile.TarInfo(f"{key}.{suffix}")
            info.size, info.mtime, info.mode = len(data), 0, 0o644
            self._tar.addfile(info, io.BytesIO(data))
            padded = -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            places[suffix] = (self._tar.offset - padded, len(data))
        return places


def flac_bytes(waveform: NDArray[np.float32], sample_rate: int) -> bytes:
    """Return a mono waveform (S,) as 16-bit FLAC; samples beyond full scale are clipped."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform.clip(-1, 1), sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def npy_bytes(values: NDArray[Any]) -> bytes:
    """Return an array as an .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


@dataclass(frozen=True, kw_only=True)
class ShardClip:
    """One line of the index."""

    record: ClipRecord
    shard: str
    """Name of the tar file."""
    members: Mapping[str, tuple[int, int]]
    """(offset, size) in it, by suffix."""
    num_frames: int
    """Pictures in the mp4."""
    level_db: float
    """RMS of the sound in dBFS, -120 for digital silence."""

    def shown_at(self, times: NDArray[np.float64]) -> list[int]:
        """Return which pictures are on show at `times` (N,) in seconds, all shown equally long, the last one held."""
        fps = self.num_frames / self.record.seconds
        return np.minimum((times * fps + 1e-6).astype(int), self.num_frames - 1).tolist()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "record": self.record.to_dict(),
            "shard": self.shard,
            "members": {suffix: list(place) for suffix, place in self.members.items()},
            "num_frames": self.num_frames,
            "level_db": self.level_db,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ShardClip:
        """Return what `to_dict` described."""
        members = {suffix: (int(offset), int(size)) for suffix, (offset, size) in values["members"].items()}
        record = ClipRecord.from_dict(values["record"])
        return cls(**{**values, "record": record, "members": members})


def write_index(folder: Path, clips: Iterable[ShardClip]) -> None:
    """Write the index of all shards of a folder."""
    temporary = folder / f".{INDEX_NAME}.part"
    with temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(clip.to_dict(), ensure_ascii=False) + "\n" for clip in clips)
    temporary.replace(folder / INDEX_NAME)


class ClipShards(Sequence[ShardClip]):
    """The clips of a prepared folder, in the order of their manifest; pictures and sound are read when asked for."""

    def __init__(self, folder: Path) -> None:
        """Read the index; raises MediaError when `folder` was not prepared or not to its end."""
        self.folder = Path(folder)
        self._places: dict[Path, dict[str, tuple[int, int]]] = {}
        path = self.folder / INDEX_NAME
        if not path.is_file():
            raise MediaError(f"{folder} holds no {INDEX_NAME}; run `foley data prepare` to its end first")
        try:
            with path.open(encoding="utf-8") as file:
                self._clips = [ShardClip.from_dict(json.loads(line)) for line in file]
        except (ValueError, KeyError, TypeError, InputError) as error:
            raise MediaError(f"{path} is damaged ({error}); prepare the folder again") from error

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> ShardClip:  # type: ignore[override]
        return self._clips[index]

    @property
    def records(self) -> tuple[ClipRecord, ...]:
        return tuple(clip.record for clip in self._clips)

    @property
    def levels_db(self) -> tuple[float, ...]:
        """RMS of every clip's sound in dBFS."""
        return tuple(clip.level_db for clip in self._clips)

    def member(self, index: int, suffix: str) -> bytes:
        """Return one member of a clip; raises MediaError when the shard is gone or shorter than its index says."""
        clip = self._clips[index]
        path = self.folder / clip.shard
        offset, size = clip.members[suffix]
        try:
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            raise MediaError(f"{path} cannot be read: {error.strerror}") from error
        if len(data) != size:
            raise MediaError(f"{path} is shorter than its index says; prepare the folder again")
        return data

    def waveform(self, index: int) -> tuple[NDArray[np.float32], int]:
        """Return the sound (S,) of a clip and its sample rate."""
        samples, sample_rate = soundfile.read(io.BytesIO(self.member(index, "flac")), dtype="float32")
        return samples, int(sample_rate)

    def frames(self, index: int, num_frames: int) -> NDArray[np.uint8]:
        """Return (T, H, W, 3) pictures spread evenly over a clip, as `frame_indices` chooses them."""
        return self.frames_at(index, frame_indices(self._clips[index].num_frames, num_frames))

    def frames_at(self, index: int, wanted: Sequence[int]) -> NDArray[np.uint8]:
        """Return (T, H, W, 3), the pictures at positions `wanted` of a clip; raises MediaError when one is absent."""
        needed = set(wanted)
        pictures: dict[int, NDArray[np.uint8]] = {}
        with av.open(io.BytesIO(self.member(index, "mp4")), "r") as container:
            for position, frame in enumerate(container.decode(video=0)):
                if position in needed:
                    pictures[position] = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
        if missing := needed - pictures.keys():
            raise MediaError(f"clip {self._clips[index].record.clip_id}: picture {min(missing)} does not decode")
        return np.stack([pictures[position] for position in wanted])

    def cached(self, index: int, name: str) -> NDArray[Any]:
        """Return what a later step stored for a clip under `name`; raises MediaError when it did not."""
        clip = self._clips[index]
        path = cached_path(self.folder / clip.shard, name)
        try:
            if path not in self._places:
                with tarfile.open(path) as tar:
                    self._places[path] = {info.name: (info.offset_data, info.size) for info in tar}
            offset, size = self._places[path][f"{clip.record.clip_id}.npy"]
            with path.open("rb") as file:
                file.seek(offset)
                return np.asarray(np.load(io.BytesIO(file.read(size)), allow_pickle=False))
        except (OSError, KeyError, ValueError, tarfile.TarError) as error:
            raise MediaError(f'no cached "{name}" of clip {clip.record.clip_id} in {path.name}') from error

    def by_shard(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield each shard's name with the positions of its clips: the order in which reading is cheapest."""
        groups: dict[str, list[int]] = {}
        for index, clip in enumerate(self._clips):
            groups.setdefault(clip.shard, []).append(index)
        for shard in sorted(groups):
            yield shard, tuple(groups[shard])


def frame_indices(num_available: int, num_wanted: int) -> list[int]:
    """Return `num_wanted` positions spread evenly over `num_available` pictures, both ends included, rounded down."""
    return [int(position) for position in np.linspace(0, num_available - 1, num_wanted)]


def cached_path(shard: Path, name: str) -> Path:
    """Return the tar beside `shard` that holds a later step's values."""
    return shard.with_suffix(f".{name}.tar")


def write_cached(shard: Path, name: str, values: Iterable[tuple[str, NDArray[Any]]]) -> None:
    """Store an array per clip id beside `shard`, such as "latents" or "features"; the file appears when complete."""
    with ShardWriter(cached_path(shard, name)) as writer:
        for key, array in values:
            writer.add(key, {"npy": npy_bytes(array)})


def cache_values(
    shards: ClipShards,
    name: str,
    encode: Callable[[ClipShards, Sequence[int]], Iterable[NDArray[Any]]],
    report: Report = no_report,
    *,
    part: int = 0,
    num_parts: int = 1,
) -> int:
    """Store `encode(shards, positions)`, one array per clip, for every shard that has no "name" yet; return how many.

    Such as the latents of the sound or the features of the pictures. A killed run goes on at the shard it was at. Of
    several callers each does its `part`, every `num_parts`-th shard.
    """
    groups = list(shards.by_shard())[part::num_parts]
    num_written = 0
    for number, (shard, positions) in enumerate(groups):
        report(name, number / len(groups))
        if cached_path(shards.folder / shard, name).exists():
            continue
        keys = (shards[position].record.clip_id for position in positions)
        write_cached(shards.folder / shard, name, zip(keys, encode(shards, positions), strict=True))
        num_written += 1
    return num_written


def read_shard(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield (clip id, members by suffix) of one tar file in its order, as any WebDataset reader does."""
    key = ""
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as tar:
            for info in tar:
                name, _, suffix = info.name.partition(".")
                if name != key and members:
                    yield key, members
                    members = {}
                key = name
                data = tar.extractfile(info)
                assert data is not None
                members[suffix] = data.read()
    except (OSError, tarfile.TarError) as error:
        raise MediaError(f"{path} is not a whole shard: {error}") from error
    if members:
        yield key, members
