"""Sentences about a take: Ego4D-like narrations of single actions and captions of the whole."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from foleykit.world.types import Action, Material, SoundEvent, Take

VERBS: dict[Action, tuple[str, ...]] = {
    "hit": ("hits", "strikes", "knocks on", "bangs on"),
    "hammer": ("hammers", "pounds", "beats", "hits repeatedly"),
    "chop": ("chops on", "cuts on", "slices on"),
    "tap": ("taps", "pats", "drums lightly on"),
    "drop": ("drops", "lets fall", "lets go of"),
    "roll": ("rolls", "pushes", "sends rolling"),
    "scrape": ("scrapes", "rubs", "drags", "slides"),
    "pour": ("pours into", "fills"),
    "place": ("places", "puts down", "sets down"),
    "step": ("steps on", "walks on", "treads on"),
    "gesture": ("moves a hand above", "reaches towards", "waves over"),
}
ADJECTIVES: dict[Material, tuple[str, ...]] = {
    "wood": ("wooden", "wood"),
    "metal": ("metal", "metallic", "steel"),
    "glass": ("glass",),
    "ceramic": ("ceramic", "china", "porcelain"),
    "plastic": ("plastic",),
    "stone": ("stone", "rock"),
    "cloth": ("cloth", "fabric", "soft"),
}


Word = TypeVar("Word", bound=str)


def pick(options: tuple[Word, ...], rng: np.random.Generator) -> Word:
    """Return one of the options."""
    return options[rng.integers(len(options))]


def narrate(
    action: Action, *, noun: str, material: Material, surface: str | None, tool: str | None, rng: np.random.Generator
) -> str:
    """Return one sentence in Ego4D style, such as "#C C hits the metal bowl with a wooden spoon"."""
    sentence = f"#C C {pick(VERBS[action], rng)} the {pick(ADJECTIVES[material], rng)} {noun}"
    if tool is not None and rng.random() < 0.6:
        sentence += f" with {tool}"
    elif surface is not None and rng.random() < 0.6:
        sentence += f" on the {surface}"
    return sentence


_SOUNDS: dict[Action, tuple[str, ...]] = {
    "hit": ("{m} being struck", "a hit on {m}", "single knocks on {m}"),
    "hammer": ("hammering on {m}", "repeated blows on {m}", "pounding on {m}"),
    "chop": ("chopping on {m}", "quick cuts against {m}"),
    "tap": ("light tapping on {m}", "fingertips on {m}"),
    "drop": ("{m} dropping and bouncing", "a {m} object falling", "something made of {m} falling"),
    "roll": ("{m} rolling", "a rolling {m} object"),
    "scrape": ("scraping on {m}", "{m} sliding", "rubbing against {m}"),
    "pour": ("pouring into {m}", "a stream filling a {m} vessel"),
    "place": ("{m} being set down", "putting down a {m} object"),
    "step": ("footsteps on {m}", "walking on {m}"),
    "gesture": ("a hand moving",),
}


def caption(take: Take, rng: np.random.Generator, *, span: tuple[float, float] | None = None) -> str:
    """Return a caption of what is heard on screen within `span` seconds (all of the take when None)."""
    start, end = span if span is not None else (0.0, take.seconds)
    return describe([e for e in take.events if start <= e.time < end], take.place.name, rng)


def describe(events: list[SoundEvent], place: str, rng: np.random.Generator) -> str:
    """Return one sentence that names the main visible causes of sound and, sometimes, the place."""
    seen: list[tuple[Action, Material]] = []
    for event in events:
        if event.on_screen and (event.action, event.material) not in seen:
            seen.append((event.action, event.material))
    if not seen:
        sentence = pick(("nothing is touched", "no action sound", "quiet hands", "background sound only"), rng)
    else:
        chosen = [seen[i] for i in sorted(rng.permutation(len(seen))[: rng.integers(1, 4)])]
        parts = [pick(_SOUNDS[action], rng).format(m=material) for action, material in chosen]
        sentence = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    if rng.random() < 0.5:
        sentence += f" in {place}"
    return sentence[0].upper() + sentence[1:] if rng.random() < 0.4 else sentence
