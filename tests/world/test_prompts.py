"""Prompts name what is heard, in many words, all of them in the vocabulary."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from foleykit.world.captions import ADJECTIVES, pick
from foleykit.world.places import PLACE_KINDS
from foleykit.world.prompts import (
    BACKGROUNDS,
    EVENTS,
    SUBSTANCES,
    WORDS,
    Claim,
    Prompt,
    describe,
    materials_in,
    words_of,
    write_prompt,
)
from foleykit.world.types import ACTIONS, AMBIENCE_KINDS, MATERIALS, Action, Material


def drawn(count: int) -> list[tuple[list[Claim], Prompt]]:
    rng = np.random.default_rng(0)
    prompts = []
    for _ in range(count):
        heard = [Claim(action=pick(ACTIONS, rng), material=pick(MATERIALS, rng)) for _ in range(rng.integers(0, 5))]
        place = pick(PLACE_KINDS[rng.integers(len(PLACE_KINDS))].names, rng)
        background = [pick(AMBIENCE_KINDS, rng)] if rng.random() < 0.5 else []
        prompts.append((heard, write_prompt(heard, rng, place=place, background=background)))
    return prompts


def test_every_word_of_every_prompt_is_in_the_vocabulary() -> None:
    used = {word for _, prompt in drawn(3000) for word in words_of(prompt.text)}
    assert used <= set(WORDS)
    # Place surfaces and rare forms aside, the vocabulary is what is used.
    assert len(used) > 0.9 * len(WORDS)


def test_a_prompt_claims_only_what_is_heard_and_says_what_it_claims() -> None:
    for heard, prompt in drawn(600):
        assert len(prompt.claims) <= 3 and bool(prompt.claims) == bool(heard)
        words = set(words_of(prompt.text))
        for claim in prompt.claims:
            assert any(claim.action in (None, one.action) and claim.material in (None, one.material) for one in heard)
            if claim.material is not None:
                said = {word for text in (*SUBSTANCES[claim.material], *ADJECTIVES[claim.material]) for word in [text]}
                assert said & words, prompt
        for kind in prompt.background:
            assert any(set(words_of(text)) <= words for text in BACKGROUNDS[kind]), prompt


def test_prompts_vary_and_are_a_function_of_their_generator() -> None:
    heard = [Claim(action="hit", material="metal")]
    texts = {write_prompt(heard, np.random.default_rng(seed)).text for seed in range(400)}
    assert len(texts) > 150 and {"metal hits", "steel strikes"} & texts
    assert write_prompt(heard, np.random.default_rng(7)) == write_prompt(heard, np.random.default_rng(7))


def test_every_action_material_and_background_has_words() -> None:
    assert (set(EVENTS), set(SUBSTANCES), set(BACKGROUNDS)) == (set(ACTIONS), set(MATERIALS), set(AMBIENCE_KINDS))


def test_which_materials_a_text_names() -> None:
    assert materials_in("Wooden taps") == ("wood",)
    assert materials_in("a china cup, then hits on steel, rain") == ("metal", "ceramic")
    for text in ("", "footsteps", "a soft landing", "rain in the background"):
        assert materials_in(text) == ()


def test_what_is_claimed_most_is_described() -> None:
    claims: list[tuple[Action, Material]] = [("hit", "metal"), ("step", "stone"), ("hit", "metal"), ("drop", "wood")]
    assert describe(claims) == "metal hits and stone footsteps and wood drops"
    assert describe([*claims, ("roll", "glass"), ("drop", "wood"), ("drop", "wood")]).startswith("wood drops and metal")
    assert describe([]) == ""
    for action in ACTIONS:
        for material in MATERIALS:
            said = describe([(action, material)])
            assert materials_in(said) == (material,) and set(words_of(said)) <= set(WORDS)


def test_the_docs_list_the_vocabulary() -> None:
    page = (Path(__file__).parents[2] / "docs" / "textvideo.md").read_text()
    (listed,) = re.findall(r"^```text\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert tuple(listed.split()) == WORDS
