"""What a listening test holds, in one SQLite file: its clips and questions, who listens, and every answer at once."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from foleykit.core.errors import FoleyError, MediaError, UsageError
from foleykit.core.sqlite import transaction
from foleykit.evaluation.listening import Choice
from foleykit.evaluation.listening_design import Comparison, plan_trials

FORMAT = "foleykit-listening-1"
FILE_NAME = "study.sqlite"
MEDIA_FOLDER = "media"
WAIT_SECONDS = 30.0
LONGEST_NAME = 80

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE criteria (id INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, question TEXT NOT NULL);
CREATE TABLE systems (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
CREATE TABLE clips (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
CREATE TABLE media (
    clip INTEGER NOT NULL REFERENCES clips, system INTEGER NOT NULL REFERENCES systems, file TEXT NOT NULL,
    PRIMARY KEY (clip, system)
) WITHOUT ROWID;
CREATE TABLE comparisons (id INTEGER PRIMARY KEY, clip INTEGER NOT NULL REFERENCES clips, systems TEXT NOT NULL);
CREATE TABLE listeners (
    id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, token TEXT UNIQUE NOT NULL, joined_at TEXT NOT NULL
);
CREATE TABLE trials (
    id INTEGER PRIMARY KEY, listener INTEGER NOT NULL REFERENCES listeners, number INTEGER NOT NULL,
    comparison INTEGER NOT NULL REFERENCES comparisons, finished_at TEXT, UNIQUE (listener, number)
);
CREATE TABLE sounds (
    trial INTEGER NOT NULL REFERENCES trials, place INTEGER NOT NULL, system INTEGER NOT NULL REFERENCES systems,
    token TEXT UNIQUE NOT NULL, PRIMARY KEY (trial, place)
) WITHOUT ROWID;
CREATE TABLE answers (
    trial INTEGER NOT NULL REFERENCES trials, criterion INTEGER NOT NULL REFERENCES criteria, place INTEGER NOT NULL,
    answered_at TEXT NOT NULL, PRIMARY KEY (trial, criterion, place)
) WITHOUT ROWID;
"""


class AnswerError(FoleyError):
    """An answer does not fit the comparison that the listener is at; the page should ask again where that is."""


@dataclass(frozen=True, kw_only=True)
class StudyDesign:
    """What does not change once listeners have begun."""

    title: str
    questions: Mapping[str, str]
    """By criterion, in the order of the page."""
    several: bool
    """A listener may choose more than one."""
    seed: int
    systems: tuple[str, ...]
    clips: tuple[str, ...]
    files: Mapping[tuple[int, int], str]
    """Names of the media files by clip and system."""
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The comparison that a listener is at, and what they have answered about it; nothing tells the systems."""

    number: int
    """From 1."""
    num_trials: int
    sounds: tuple[str, ...]
    """A token for each sound, under which its media file is found."""
    answers: Mapping[str, tuple[int, ...]]
    """Chosen places, from 0, by criterion."""


@dataclass(frozen=True, kw_only=True)
class Attendance:
    """How far the listeners have come."""

    num_listeners: int
    num_finished: int
    """Listeners who have answered everything."""
    num_trials: int
    """Comparisons that each of them is asked for."""
    num_finished_trials: int


class ListeningStudy:
    """A listening test in a folder; may be used by several threads, and by several processes at once.

    Every call that writes has reached the disk when it returns: a process or machine that dies loses nothing of it.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._connection = connection
        self._lock = threading.Lock()
        meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
        self.id: str = meta["id"]
        self.title: str = meta["title"]
        self.several = meta["several"] == "1"
        self.seed = int(meta["seed"])
        self.questions = dict(connection.execute("SELECT key, question FROM criteria ORDER BY id").fetchall())
        self.systems = _column(connection, "SELECT name FROM systems ORDER BY id")
        self.clips = _column(connection, "SELECT name FROM clips ORDER BY id")
        self._comparisons = tuple(
            Comparison(clip=clip, systems=tuple(json.loads(systems)))
            for clip, systems in connection.execute("SELECT clip, systems FROM comparisons ORDER BY id")
        )

    @classmethod
    def create(cls, folder: Path, design: StudyDesign) -> ListeningStudy:
        """Write a new test into an existing folder that holds none."""
        connection = _connect(folder / FILE_NAME)
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            meta = {
                "format": FORMAT,
                "id": secrets.token_hex(4),
                "title": design.title,
                "several": str(int(design.several)),
                "seed": str(design.seed),
            }
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            connection.executemany("INSERT INTO criteria (key, question) VALUES (?, ?)", design.questions.items())
            connection.executemany("INSERT INTO systems VALUES (?, ?)", enumerate(design.systems))
            connection.executemany("INSERT INTO clips VALUES (?, ?)", enumerate(design.clips))
            connection.executemany(
                "INSERT INTO media VALUES (?, ?, ?)", [(*key, file) for key, file in design.files.items()]
            )
            connection.executemany(
                "INSERT INTO comparisons VALUES (?, ?, ?)",
                [(index, each.clip, json.dumps(each.systems)) for index, each in enumerate(design.comparisons)],
            )
        return cls(folder, connection)

    @classmethod
    def open(cls, folder: Path) -> ListeningStudy:
        """Open a test; raises UsageError when there is none in `folder` and MediaError when it cannot be read."""
        path = folder / FILE_NAME
        if not path.is_file():
            raise UsageError(f"{folder} holds no listening test; make one with `foley listen make`")
        try:
            connection = _connect(path)
            found = connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
        except sqlite3.Error as error:
            raise MediaError(f"{path} cannot be used as a listening test: {error}") from error
        if found != (FORMAT,):
            connection.close()
            raise MediaError(f"{path} is not a listening test of this version")
        return cls(folder, connection)

    def close(self) -> None:
        self._connection.close()

    def join(self, name: str) -> str:
        """Return the token of the listener of that name, who is new or goes on; raises AnswerError for no name."""
        name = " ".join(name.split())
        if not name or len(name) > LONGEST_NAME:
            raise AnswerError(f"a name has 1 to {LONGEST_NAME} characters")
        with self._writing() as connection:
            found = connection.execute("SELECT token FROM listeners WHERE name = ?", (name,)).fetchone()
            if found is not None:
                return str(found[0])
            token = secrets.token_urlsafe(16)
            listener = connection.execute(
                "INSERT INTO listeners (name, token, joined_at) VALUES (?, ?, ?)", (name, token, _now())
            ).lastrowid
            assert listener is not None
            planned = plan_trials(self._comparisons, seed=self.seed, listener=listener)
            for number, trial in enumerate(planned, start=1):
                row = connection.execute(
                    "INSERT INTO trials (listener, number, comparison) VALUES (?, ?, ?)",
                    (listener, number, trial.comparison),
                ).lastrowid
                # A token of its own for each hearing: equal ones would tell which sounds are of one system.
                connection.executemany(
                    "INSERT INTO sounds VALUES (?, ?, ?, ?)",
                    [(row, place, system, secrets.token_urlsafe(12)) for place, system in enumerate(trial.systems)],
                )
        return token

    def knows(self, token: str) -> bool:
        """Return whether `token` is a listener's."""
        with self._reading() as connection:
            return connection.execute("SELECT 1 FROM listeners WHERE token = ?", (token,)).fetchone() is not None

    def current_trial(self, token: str) -> Trial | None:
        """Return the first comparison that the listener has not finished, None after the last."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT trials.id, number FROM trials JOIN listeners ON listeners.id = listener "
                "WHERE token = ? AND finished_at IS NULL ORDER BY number LIMIT 1",
                (token,),
            ).fetchone()
            if row is None:
                return None
            trial, number = row
            answers: dict[str, tuple[int, ...]] = {}
            for key, place in connection.execute(
                "SELECT key, place FROM answers JOIN criteria ON id = criterion WHERE trial = ? ORDER BY place",
                (trial,),
            ):
                answers[key] = (*answers.get(key, ()), place)
            return Trial(
                number=number,
                num_trials=len(self._comparisons),
                sounds=_column(connection, "SELECT token FROM sounds WHERE trial = ? ORDER BY place", trial),
                answers=answers,
            )

    def media_path(self, token: str, sound: str) -> Path | None:
        """Return the file of a sound that this listener hears, None when it is not theirs."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT file FROM sounds JOIN trials ON trials.id = trial JOIN listeners ON listeners.id = listener "
                "JOIN comparisons ON comparisons.id = comparison "
                "JOIN media ON media.clip = comparisons.clip AND media.system = sounds.system "
                "WHERE listeners.token = ? AND sounds.token = ?",
                (token, sound),
            ).fetchone()
        return None if row is None else self.folder / MEDIA_FOLDER / row[0]

    def answer(self, token: str, number: int, criterion: str, places: Sequence[int]) -> None:
        """Store what a listener chose, in place of an earlier answer to the same question.

        Raises AnswerError when the comparison is finished or not theirs, or when it cannot be answered like that.
        """
        chosen = sorted(set(places))
        with self._writing() as connection:
            trial = self._open_trial(connection, token, number)
            num_sounds = connection.execute("SELECT count(*) FROM sounds WHERE trial = ?", (trial,)).fetchone()[0]
            row = connection.execute("SELECT id FROM criteria WHERE key = ?", (criterion,)).fetchone()
            if row is None:
                raise AnswerError("there is no such question")
            if not chosen or chosen[0] < 0 or chosen[-1] >= num_sounds or (len(chosen) > 1 and not self.several):
                raise AnswerError("choose one of the sounds" + (" or several" if self.several else ""))
            connection.execute("DELETE FROM answers WHERE trial = ? AND criterion = ?", (trial, row[0]))
            connection.executemany(
                "INSERT INTO answers VALUES (?, ?, ?, ?)", [(trial, row[0], place, _now()) for place in chosen]
            )

    def finish(self, token: str, number: int) -> None:
        """Close a comparison whose questions are all answered; raises AnswerError when they are not."""
        with self._writing() as connection:
            trial = self._open_trial(connection, token, number)
            answered = connection.execute(
                "SELECT count(DISTINCT criterion) FROM answers WHERE trial = ?", (trial,)
            ).fetchone()[0]
            if answered < len(self.questions):
                raise AnswerError(f"{len(self.questions) - answered} questions are not answered yet")
            connection.execute("UPDATE trials SET finished_at = ? WHERE id = ?", (_now(), trial))

    def attendance(self) -> Attendance:
        """Return how far the listeners have come."""
        with self._reading() as connection:
            done = _column(connection, "SELECT count(finished_at) FROM trials GROUP BY listener")
        return Attendance(
            num_listeners=len(done),
            num_finished=sum(count == len(self._comparisons) for count in done),
            num_trials=len(self._comparisons),
            num_finished_trials=sum(done),
        )

    def choices(self) -> list[Choice]:
        """Return every answer stored so far, also about comparisons that are not finished."""
        select = (
            "SELECT trials.id, criteria.key, clips.name, listeners.id, comparisons.systems, sounds.system FROM answers "
            "JOIN trials ON trials.id = answers.trial JOIN criteria ON criteria.id = criterion "
            "JOIN sounds ON sounds.trial = answers.trial AND sounds.place = answers.place "
            "JOIN listeners ON listeners.id = listener JOIN comparisons ON comparisons.id = comparison "
            "JOIN clips ON clips.id = comparisons.clip ORDER BY trials.id, criteria.id, answers.place"
        )
        with self._reading() as connection:
            rows = connection.execute(select).fetchall()
        chosen: dict[tuple[int, str], list[int]] = {}
        about: dict[tuple[int, str], tuple[str, int, str]] = {}
        for trial, key, clip, listener, systems, system in rows:
            chosen.setdefault((trial, key), []).append(system)
            about[trial, key] = (clip, listener, systems)
        return [
            Choice(
                criterion=key,
                clip=clip,
                listener=str(listener),
                shown=tuple(self.systems[index] for index in json.loads(systems)),
                chosen=tuple(self.systems[index] for index in chosen[trial, key]),
            )
            for (trial, key), (clip, listener, systems) in about.items()
        ]

    def _open_trial(self, connection: sqlite3.Connection, token: str, number: int) -> int:
        row = connection.execute(
            "SELECT trials.id, finished_at FROM trials JOIN listeners ON listeners.id = listener "
            "WHERE token = ? AND number = ?",
            (token, number),
        ).fetchone()
        if row is None:
            raise AnswerError("there is no such comparison")
        if row[1] is not None:
            raise AnswerError(f"comparison {number} is finished")
        return int(row[0])

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, transaction(self._connection):
            yield self._connection


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    # Each commit reaches the disk before it is acknowledged, which WAL alone does not promise.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _column(connection: sqlite3.Connection, query: str, *values: object) -> tuple:
    return tuple(row[0] for row in connection.execute(query, values))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
