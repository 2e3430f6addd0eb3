"""What a user might type for a sound of the world: words for materials, actions and backgrounds, and sentences of them.

Unlike captions, prompts are drawn together with what they name, so that a reader of them can be taught and tested.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from foleykit.world.captions import ADJECTIVES, VERBS, pick
from foleykit.world.parts import NOUNS
from foleykit.world.places import PLACE_KINDS
from foleykit.world.types import Action, AmbienceKind, Material

SUBSTANCES: dict[Material, tuple[str, ...]] = {
    "wood": ("wood", "timber"),
    "metal": ("metal", "steel", "iron"),
    "glass": ("glass",),
    "ceramic": ("ceramic", "china", "porcelain"),
    "plastic": ("plastic",),
    "stone": ("stone", "rock", "concrete"),
    "cloth": ("cloth", "fabric", "textile"),
}
EVENTS: dict[Action, tuple[str, ...]] = {
    "hit": ("hits", "hit", "hitting", "strikes", "a strike", "knocks", "knocking", "bangs", "impacts", "an impact"),
    "hammer": ("hammering", "hammer blows", "pounding", "beating", "repeated hits", "repeated blows"),
    "chop": ("chopping", "chops", "cutting", "slicing", "knife cuts", "a knife"),
    "tap": ("taps", "tapping", "a tap", "light tapping", "patting", "drumming fingers", "fingertips"),
    "drop": ("drops", "a drop", "dropping", "falling", "a fall", "bouncing", "thuds", "a thud"),
    "roll": ("rolling", "a roll", "rolls"),
    "scrape": ("scraping", "a scrape", "scrapes", "rubbing", "dragging", "sliding", "scratching"),
    "pour": ("pouring", "water pouring", "pouring water", "filling", "a stream of liquid"),
    "place": ("setting down", "putting down", "placing", "a soft landing"),
    "step": ("footsteps", "steps", "a step", "walking", "a footstep", "treading"),
    "gesture": ("a hand moving", "waving"),
}
BACKGROUNDS: dict[AmbienceKind, tuple[str, ...]] = {
    "silence": ("silence", "a silent background"),
    "room": ("room tone", "a quiet room"),
    "hum": ("an electric hum", "hum", "humming"),
    "fan": ("a fan", "a ventilation fan", "air conditioning"),
    "rain": ("rain", "falling rain", "rain drops", "rainfall"),
    "wind": ("wind", "a breeze", "blowing wind"),
    "traffic": ("traffic", "cars", "passing cars", "street noise"),
    "birds": ("birds", "birdsong", "singing birds", "bird song"),
    "babble": ("voices", "a crowd", "people talking", "babble", "chatter"),
    "stream": ("running water", "a brook", "a river"),
    "machine": ("a machine", "an engine", "machinery"),
}
ANY_BACKGROUND = ("background noise", "ambience", "ambient noise", "background sound")
BEHIND = (" in the background", "", " behind it")
NOTHING = ("nothing is touched", "no action", "no action sound", "quiet hands", "quiet", "nothing")
MATERIAL_ONLY = (
    "{substance}",
    "{adjective}",
    "{adjective} sounds",
    "{adjective} sound",
    "something made of {substance}",
)
ACTION_ONLY = ("{event}", "sound of {event}", "someone {verb} something", "{event} sounds")
BOTH = (
    "{adjective} {bare}",
    "{adjective} {bare}",
    "{event} on {substance}",
    "{event} of {substance}",
    "{substance} {bare}",
    "the sound of {event} on {substance}",
    "someone {verb} the {adjective} {noun}",
    "a person {verb} a {adjective} {noun}",
    "{verb} the {adjective} {noun}",
    "{event} on a {adjective} {noun}",
)
POURED = (
    "{event} into {substance}",
    "{event} into a {adjective} {noun}",
    "someone {verb} a {adjective} {noun}",
    "{adjective} {bare}",
)
JOINTS = (", ", " and ", " then ", ", then ", " with ")
MOST_NAMED = 3
"""Sounds that one prompt names."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One sound that a prompt names; what it leaves open is None."""

    action: Action | None
    material: Material | None


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A text and all that it names."""

    text: str
    claims: tuple[Claim, ...]
    background: tuple[AmbienceKind, ...] = ()


def write_prompt(
    heard: Sequence[Claim], rng: np.random.Generator, *, place: str = "", background: Sequence[AmbienceKind] = ()
) -> Prompt:
    """Return a prompt for up to `MOST_NAMED` of the sounds in `heard`, most of the time with material and action.

    Half of the prompts name the `place`, where there is one, and half the kinds of `background` that are given.
    """
    count = min(len(heard), int(rng.integers(1, MOST_NAMED + 1)))
    chosen = [heard[index] for index in sorted(rng.permutation(len(heard))[:count])]
    claims = tuple(_less(claim, rng) for claim in chosen)
    parts = [phrase(claim, rng) for claim in claims]
    joint = pick(JOINTS, rng)
    text = joint.join(parts) if parts else pick(NOTHING, rng)
    named = tuple(background) if rng.random() < 0.5 else ()
    if named:
        # Said in general, it names no kind.
        is_vague = rng.random() < 0.2
        kinds = [pick(ANY_BACKGROUND if is_vague else BACKGROUNDS[kind], rng) for kind in named[: 1 if is_vague else 3]]
        text += pick((", ", " with ", " and "), rng) + " and ".join(kinds) + pick(BEHIND, rng)
        named = () if is_vague else named
    if place and rng.random() < 0.3:
        text += f" in {place}"
    return Prompt(text=text, claims=claims, background=named)


def _less(claim: Claim, rng: np.random.Generator) -> Claim:
    """Return the claim as a prompt makes it: in a quarter of cases with material or action alone."""
    share = rng.random()
    if share < 0.15:
        return Claim(action=None, material=claim.material)
    return Claim(action=claim.action, material=None) if share < 0.25 else claim


def phrase(claim: Claim, rng: np.random.Generator) -> str:
    """Return what someone might type for one sound; for one of which nothing is said, that there is none."""
    action, material = claim.action, claim.material
    if action is None and material is None:
        return pick(NOTHING, rng)
    if action is None:
        forms: tuple[str, ...] = MATERIAL_ONLY
    elif material is None:
        forms = ACTION_ONLY
    else:
        forms = POURED if action == "pour" else BOTH
    nouns = NOUNS["vessel"] if action == "pour" else tuple(noun for names in NOUNS.values() for noun in names)
    event = "" if action is None else pick(EVENTS[action], rng)
    return pick(forms, rng).format(
        substance="" if material is None else pick(SUBSTANCES[material], rng),
        adjective="" if material is None else pick(ADJECTIVES[material], rng),
        event=event,
        bare=_bare(event),
        verb="" if action is None else pick(VERBS[action], rng),
        noun=pick(nouns, rng),
    )


def _bare(event: str) -> str:
    """Return the words for an event without their article."""
    return re.sub("^an? ", "", event)


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case; everything but letters parts them."""
    return re.findall(r"[a-z]+", re.sub(r"\{\w+\}", " ", text.lower()))


def _words_in(*texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word for alike in texts for text in alike for word in words_of(text))


_NAMING: dict[Material, frozenset[str]] = {
    material: _words_in(substances, ADJECTIVES[material]) - _words_in(*EVENTS.values())
    for material, substances in SUBSTANCES.items()
}
"""Words for materials; "soft" is one of landings too."""


def materials_in(text: str) -> tuple[Material, ...]:
    """Return the materials that `text` has a word for."""
    words = words_of(text)
    return tuple(material for material, naming in _NAMING.items() if not naming.isdisjoint(words))


def describe(claims: Sequence[tuple[Action, Material]]) -> str:
    """Return a plain prompt for those of `claims` that are made most often; it is empty when there are none."""
    often = Counter(claims).most_common(MOST_NAMED)
    sounds = (f"{SUBSTANCES[material][0]} {_bare(EVENTS[action][0])}" for (action, material), _ in often)
    return " and ".join(sounds)


def _texts() -> Iterator[str]:
    """Yield every text that a prompt or a caption can be made of."""
    for table in (SUBSTANCES, ADJECTIVES, EVENTS, VERBS, BACKGROUNDS, NOUNS):
        for texts in table.values():
            yield from texts
    for forms in (NOTHING, MATERIAL_ONLY, ACTION_ONLY, BOTH, POURED, JOINTS):
        yield from forms
    yield from (name for kind in PLACE_KINDS for name in (*kind.names, *kind.surface_names))
    yield from (*ANY_BACKGROUND, *BEHIND)


WORDS: tuple[str, ...] = tuple(sorted({word for text in _texts() for word in words_of(text)}))
"""Every word that prompts of the world are made of."""
