"""Making a listening test, storing its answers, and counting them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest

from fixtures.listening import system_heard, write_systems
from foleykit.audio.files import write_waveform
from foleykit.core.errors import MediaError, MediaWarning, UsageError
from foleykit.jobs.listen import StudyRequest, make_study, named_folders
from foleykit.jobs.listen_results import study_results
from foleykit.jobs.listen_store import AnswerError, ListeningStudy
from foleykit.video.probe import probe

MakeVideo = Callable[..., Path]


def named(folders: list[Path]) -> dict[str, Path]:
    return {folder.name: folder for folder in folders}


@pytest.fixture
def study(tmp_path: Path, make_video: MakeVideo) -> ListeningStudy:
    """Return a test of three clips by three systems, two at a time."""
    folders = write_systems(tmp_path / "systems", make_video, num_clips=3, num_systems=3)
    make_study(StudyRequest(folder=tmp_path / "study", systems=named(folders), layout="pairs"))
    return ListeningStudy.open(tmp_path / "study")


def answer_all(study: ListeningStudy, token: str, choose: Callable[[list[str]], int]) -> int:
    """Answer everything; `choose` gets the systems that are heard. Returns the number of comparisons."""
    count = 0
    while (trial := study.current_trial(token)) is not None:
        paths = [study.media_path(token, sound) for sound in trial.sounds]
        heard = [system_heard(path.read_bytes()) for path in paths if path is not None]
        for key in study.questions:
            study.answer(token, trial.number, key, [choose(heard)])
        study.finish(token, trial.number)
        count += 1
    return count


def test_what_is_chosen_by_ear_is_what_is_counted(study: ListeningStudy) -> None:
    ranking = ["southern-model", "northern-model", "eastern-model"]
    for name in ("Ada", "Bo"):
        token = study.join(name)
        assert answer_all(study, token, lambda heard: heard.index(min(heard, key=ranking.index))) == 9
    results = study_results(study.folder)
    assert (results.attendance.num_listeners, results.attendance.num_finished) == (2, 2)
    for criterion in results.criteria:
        shares = {share.system: (share.num_chosen, share.num_shown) for share in criterion.systems}
        assert shares == {"southern-model": (12, 12), "northern-model": (6, 12), "eastern-model": (0, 12)}
        assert criterion.agreement is not None and criterion.agreement.observed == 1


def test_versions_differ_in_sound_only(study: ListeningStudy) -> None:
    """Same pictures, same length, no tags and no date that tell which system a file is of."""
    files = sorted((study.folder / "media").iterdir())
    assert len(files) == 9
    probed = [probe(path) for path in files]
    assert {(info.codec, info.width, info.height, info.duration) for info in probed} == {
        ("vp9", 96, 64, probed[0].duration)
    }
    assert {path.stat().st_mtime for path in files} == {0}
    for path in files:
        assert b"model" not in path.read_bytes()
        with av.open(str(path)) as container:
            assert set(container.metadata) <= {"ENCODER"}
            assert abs(container.duration / av.time_base - float(probed[0].duration)) < 0.03


def test_unpaired_clips_are_named_and_unusable_ones_too(tmp_path: Path, make_video: MakeVideo) -> None:
    folders = write_systems(tmp_path, make_video, num_clips=3)
    (folders[0] / "clip00.mp4").unlink()
    (folders[1] / "extra.wav").write_bytes((folders[1] / "clip01.wav").read_bytes())
    (folders[1] / "clip02.wav").write_bytes(b"RIFF and no more")
    (folders[1] / "notes.txt").write_text("not media")
    made = make_study(StudyRequest(folder=tmp_path / "study", systems=named(folders)))
    assert made.num_clips == made.num_trials == 1
    assert made.unpaired == {"clip00": ("northern-model",), "extra": ("northern-model",)}
    assert list(made.unusable) == ["clip02"] and "clip02.wav" in made.unusable["clip02"]
    assert len(list((tmp_path / "study" / "media").iterdir())) == 2
    with sqlite3.connect(tmp_path / "study" / "study.sqlite") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_pictures_may_come_from_a_folder_of_their_own(tmp_path: Path, make_video: MakeVideo) -> None:
    for name in ("a", "b", "pictures"):
        (tmp_path / name).mkdir()
    for clip, seconds in (("one", 0.5), ("two", 0.2)):
        for name in ("a", "b"):
            write_waveform(tmp_path / name / f"{clip}.wav", np.full((1, round(seconds * 16_000)), 0.1), 16_000)
    systems = {"a": tmp_path / "a", "b": tmp_path / "b"}
    with pytest.raises(MediaError, match="--pictures"):
        make_study(StudyRequest(folder=tmp_path / "none", systems=systems))
    assert not (tmp_path / "none").exists()
    for clip in ("one", "two"):
        (tmp_path / "pictures" / f"{clip}.mp4").write_bytes(make_video(f"{clip}.mp4", seconds=0.5).read_bytes())
    with pytest.warns(MediaWarning, match=r"two\.wav ends 0\.30 s before"):
        made = make_study(StudyRequest(folder=tmp_path / "study", systems=systems, pictures=tmp_path / "pictures"))
    assert made.num_clips == 2 and not made.unusable


def test_impossible_requests_are_refused(tmp_path: Path, make_video: MakeVideo) -> None:
    folders = write_systems(tmp_path, make_video, num_clips=1)
    one, two = folders
    with pytest.raises(UsageError, match="at least two systems"):
        StudyRequest(folder=tmp_path / "study", systems={"one": one})
    with pytest.raises(UsageError, match='no criterion "beauty"'):
        StudyRequest(folder=tmp_path / "study", systems=named(folders), criteria=("beauty",))
    with pytest.raises(UsageError, match="no such folder"):
        make_study(StudyRequest(folder=tmp_path / "study", systems={"one": one, "gone": tmp_path / "gone"}))
    with pytest.raises(UsageError, match="exists"):
        make_study(StudyRequest(folder=one, systems=named(folders)))
    (two / "clip00.flac").write_bytes(b"")
    with pytest.raises(UsageError, match=r"both clip00\.flac and clip00\.wav"):
        make_study(StudyRequest(folder=tmp_path / "study", systems=named(folders)))
    (two / "clip00.flac").unlink()
    (two / "clip00.wav").rename(two / "other.wav")
    with pytest.raises(MediaError, match="no file name is common"):
        make_study(StudyRequest(folder=tmp_path / "study", systems=named(folders)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["northern-model", "southern-model"]


def test_systems_are_called_after_their_folders_or_as_told(tmp_path: Path) -> None:
    assert named_folders(["x/ours", "theirs=y/ours"]) == {"ours": Path("x/ours"), "theirs": Path("y/ours")}
    with pytest.raises(UsageError, match='called "ours"'):
        named_folders(["x/ours", "y/ours"])
    folder = tmp_path / "a=b"
    folder.mkdir()
    assert named_folders([str(folder)]) == {"a=b": folder}


def test_a_listener_goes_on_where_they_stopped(study: ListeningStudy) -> None:
    token = study.join("Ada")
    study.answer(token, 1, "overall", [0])
    study.answer(token, 1, "overall", [1])
    study.close()
    again = ListeningStudy.open(study.folder)
    assert again.join("  Ada ") == token and again.join("Bo") != token
    trial = again.current_trial(token)
    assert trial is not None
    assert (trial.number, trial.num_trials, trial.answers) == (1, 9, {"overall": (1,)})
    with pytest.raises(AnswerError, match="2 questions"):
        again.finish(token, 1)
    again.answer(token, 1, "relevance", [0])
    again.answer(token, 1, "alignment", [0])
    again.finish(token, 1)
    after = again.current_trial(token)
    assert after is not None and after.number == 2 and after.answers == {}


def test_answers_that_do_not_fit_are_refused(study: ListeningStudy) -> None:
    token = study.join("Ada")
    for places in ([], [2], [-1], [0, 1]):
        with pytest.raises(AnswerError, match="choose one"):
            study.answer(token, 1, "overall", places)
    with pytest.raises(AnswerError, match="no such question"):
        study.answer(token, 1, "beauty", [0])
    for stranger, number in ((token, 10), ("nobody", 1)):
        with pytest.raises(AnswerError, match="no such comparison"):
            study.answer(stranger, number, "overall", [0])
    for key in study.questions:
        study.answer(token, 1, key, [0])
    study.finish(token, 1)
    with pytest.raises(AnswerError, match="finished"):
        study.answer(token, 1, "overall", [1])
    with pytest.raises(AnswerError, match="name"):
        study.join("   ")
    assert len(study.choices()) == 3


def test_several_sounds_may_be_chosen_where_the_test_says_so(tmp_path: Path, make_video: MakeVideo) -> None:
    folders = write_systems(tmp_path, make_video, num_clips=1, num_systems=3)
    request = StudyRequest(
        folder=tmp_path / "study", systems=named(folders), criteria=("action", "ambience"), several=True
    )
    make_study(request)
    study = ListeningStudy.open(tmp_path / "study")
    token = study.join("Ada")
    study.answer(token, 1, "action", [0, 1, 2])
    study.answer(token, 1, "ambience", [0, 2])
    action, ambience = study_results(study.folder).criteria
    assert [share.share.value for share in action.systems] == [1, 1, 1]
    assert sum(share.num_chosen for share in ambience.systems) == 2


def test_sounds_are_heard_by_their_listener_only_and_under_new_names_each_time(study: ListeningStudy) -> None:
    ada, bo = study.join("Ada"), study.join("Bo")
    with sqlite3.connect(study.folder / "study.sqlite") as connection:
        tokens = [token for (token,) in connection.execute("SELECT token FROM sounds")]
    assert len(tokens) == len(set(tokens)) == 2 * 9 * 2
    trial = study.current_trial(ada)
    assert trial is not None
    assert study.media_path(ada, trial.sounds[0]) is not None
    assert study.media_path(bo, trial.sounds[0]) is None


def test_many_listeners_answer_at_once(study: ListeningStudy) -> None:
    def listen(name: str) -> None:
        # A connection of its own for every other listener, as another process has it.
        own = ListeningStudy.open(study.folder) if int(name) % 2 else study
        token = own.join(name)
        for number in range(1, 10):
            for key in own.questions:
                own.answer(token, number, key, [int(name) % 2])
            own.finish(token, number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(listen, map(str, range(8))))
    assert study.attendance().num_finished == 8
    assert len(study.choices()) == 8 * 9 * 3


def test_a_folder_without_a_test_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no listening test"):
        ListeningStudy.open(tmp_path)
    (tmp_path / "study.sqlite").write_text("no database at all, but long enough to be looked at twice" * 20)
    with pytest.raises(MediaError, match="cannot be used"):
        study_results(tmp_path)
