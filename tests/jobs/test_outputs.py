"""Files appear together or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from foleykit.core.errors import UsageError
from foleykit.jobs.outputs import all_or_none, check_outputs


def test_files_appear_only_at_the_end(tmp_path: Path) -> None:
    paths = [tmp_path / "a.mp4", tmp_path / "b.wav"]
    with all_or_none() as files:
        for path in paths:
            part = files.add(path)
            assert part.suffix == path.suffix and part.parent == path.parent and part.name.startswith(".")
            part.write_text(path.name)
        assert not any(path.exists() for path in paths)
    assert [path.read_text() for path in paths] == ["a.mp4", "b.wav"]
    assert sorted(tmp_path.iterdir()) == paths


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError])
def test_after_a_failure_nothing_is_there(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with all_or_none() as files:
            files.add(tmp_path / "a.mp4").write_text("half")
            files.add(tmp_path / "b.wav")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_two_outputs_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="same name"):
        check_outputs([tmp_path / "a", tmp_path / "x" / ".." / "a"], overwrite=True)


def test_folders_are_not_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        check_outputs([tmp_path], overwrite=True)
