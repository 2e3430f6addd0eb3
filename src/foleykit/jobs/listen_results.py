"""What the listeners of a listening test have answered, in figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from foleykit.evaluation.listening import CriterionResult, summarise
from foleykit.jobs.listen_store import Attendance, ListeningStudy


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """What listeners answered."""

    title: str
    systems: tuple[str, ...]
    several: bool
    num_clips: int
    attendance: Attendance
    questions: Mapping[str, str]
    criteria: tuple[CriterionResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; figures are not rounded."""
        return asdict(self)


def study_results(folder: Path) -> StudyResults:
    """Return the figures of a test as far as it has come; listeners may be answering meanwhile."""
    study = ListeningStudy.open(folder)
    try:
        choices = study.choices()
        return StudyResults(
            title=study.title,
            systems=study.systems,
            several=study.several,
            num_clips=len(study.clips),
            attendance=study.attendance(),
            questions=study.questions,
            criteria=tuple(
                summarise(choices, study.systems, key, several=study.several, seed=study.seed)
                for key in study.questions
            ),
        )
    finally:
        study.close()
