"""Delay pattern and sampling of AudioCraft's language models."""

from __future__ import annotations

import json
import re
from functools import cache

import pytest
import torch

from foleykit.diffusion.guidance import guide
from foleykit.evaluation.metrics.kl_divergence import kl_divergence
from foleykit.tokens.patterns import align, code_mask, delay, num_steps, prompted, undelay
from foleykit.tokens.sampling import probabilities
from parity.fixtures import Recording, assert_near, recording


@cache
def pattern() -> Recording:
    return recording("pattern", "foleygen")


def delays() -> tuple[int, ...]:
    return tuple(json.loads(pattern().header["delays"]))


def special() -> int:
    return int(pattern().header["special"])


def lengths() -> list[int]:
    return json.loads(pattern().header["T"])


@pytest.mark.parametrize("kind", ["full", "valid"])
def test_pattern(kind: str) -> None:
    given = pattern().tensors
    for num_frames in lengths():
        at = f"T{num_frames}.{kind}"
        codes = given[f"T{num_frames}.codes"]
        steps = num_steps(num_frames, delays()) if kind == "full" else num_frames + 1
        tokens = delay(codes, delays(), special(), steps=steps)
        assert torch.equal(tokens, given[f"{at}.seq"])
        assert torch.equal(code_mask(num_frames, steps, delays()), given[f"{at}.mask"])
        places = torch.arange(codes[0].numel()).view(1, *codes.shape[1:])
        assert torch.equal(delay(places, delays(), places.numel(), steps=steps)[0], given[f"{at}.index"])
        back, mask = undelay(tokens, num_frames, delays())
        assert torch.equal(back, given[f"{at}.revert"]) and torch.equal(mask, given[f"{at}.revert_mask"])
        outputs, known = align(given[f"{at}.logits_in"].permute(0, 2, 3, 1), num_frames, delays())
        assert torch.equal(known, given[f"{at}.logits_mask"])
        expected = given[f"{at}.logits_out"].permute(0, 2, 3, 1)
        assert torch.equal(torch.where(known[..., None], outputs, torch.nan).nan_to_num(9e9), expected.nan_to_num(9e9))


def test_prompts_short_and_cut_patterns() -> None:
    given = pattern().tensors
    for name in given:
        if match := re.fullmatch(r"prompt\.T(\d+)\.P(\d+)\.seq", name):
            num_frames, num_known = (int(part) for part in match.groups())
            at = name.removesuffix("seq")
            codes = given[f"{at}codes"]
            tokens, first = prompted(codes[:, :, :num_known], num_frames, delays(), special())
            assert torch.equal(tokens, given[name]) and first == int(given[f"{at}first_step"])
            assert torch.equal(code_mask(num_frames, tokens.shape[2], delays()), given[f"{at}mask"])
    steps = num_steps(int(pattern().header["short_pattern_T"]), delays())
    short = given["short.codes"]
    assert torch.equal(delay(short, delays(), special(), steps=steps), given["short.seq"])
    assert torch.equal(code_mask(short.shape[2], steps, delays()), given["short.mask"])
    cut = given["trunc.seq"]
    back, mask = undelay(cut, given["trunc.revert"].shape[2], delays())
    assert torch.equal(back, given["trunc.revert"]) and torch.equal(mask, given["trunc.revert_mask"])


@pytest.mark.parametrize("kind", ["plain", "ties"])
def test_sampling(kind: str) -> None:
    recorded = recording("sampling", "foleygen")
    given = {name.removeprefix(f"{kind}."): value for name, value in recorded.tensors.items() if name.startswith(kind)}
    logits = guide(given["cond"], given["uncond"], float(recorded.header["cfg"]))
    assert_near(f"sampling: {kind}, guided logits", logits, given["combined"], 1e-5)
    top_k = int(recorded.header["top_k"])
    for name in given:
        if match := re.fullmatch(r"t([\d.]+)\.probs", name):
            chances = probabilities(given["combined"], temperature=float(match[1]), top_k=top_k)
            assert_near(f"sampling: {kind}, chances at {match[1]}", chances, given[name], 1e-6)
            assert torch.equal(chances > 0, given[name.replace("probs", "kept")])
        if match := re.fullmatch(r"k(\d+)\.kept", name):
            assert torch.equal(probabilities(given["combined"], top_k=int(match[1])) > 0, given[name])
        if match := re.fullmatch(r"p([\d.]+)\.kept_count", name):
            kept = (probabilities(given["combined"], top_p=float(match[1])) > 0).sum(dim=-1)
            assert torch.equal(kept, given[name])
    greedy = probabilities(given["combined"], temperature=0.0).argmax(dim=-1, keepdim=True)
    assert torch.equal(greedy, given["greedy"])


def test_kl_divergence_of_classes() -> None:
    """AudioCraft's figure; logarithms of probabilities are logits of them."""
    recorded = recording("sampling", "foleygen")
    epsilon = float(recorded.header["kld_eps"])
    target, predicted = recorded.tensors["kld.target"].log(), recorded.tensors["kld.pred"].log()
    for name, pair in (("value", (target, predicted)), ("reverse", (predicted, target))):
        expected = recorded.tensors[f"kld.{name}"]
        ratio = kl_divergence(*pair, epsilon=epsilon) / expected.double()
        assert_near(f"sampling: divergence, {name}, relative", ratio, torch.ones_like(ratio), 1e-5)
