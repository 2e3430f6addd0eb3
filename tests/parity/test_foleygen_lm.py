"""AudioCraft's language model with a visual prefix: logits, loss, greedy guided generation, visual attention."""

from __future__ import annotations

import re
from functools import cache

import pytest
import torch
from torch import Tensor

from foleykit.core.checkpoint import shapes_of
from foleykit.core.types import CodesBatch
from foleykit.models.foleygen.config import LmConfig, SamplingConfig, VisualConfig
from foleykit.models.foleygen.generation import generate_codes
from foleykit.models.foleygen.network import LanguageModel
from foleykit.models.foleygen.objective import LanguageObjective
from foleykit.models.foleygen.presets import foleygen
from foleykit.tokens.patterns import align
from foleykit.tokens.visual_attention import VisualTiming, prefix_mask
from parity.fixtures import Recording, assert_near, filled, manifest, recording

RENAMED = (
    (r"^emb\.", "embeddings."),
    (r"^linears\.", "heads."),
    (r"^out_norm\.", "norm."),
    (r"^transformer\.layers\.", "layers."),
    (r"\.norm1\.", ".norm_attention."),
    (r"\.norm2\.", ".norm_feed."),
    (r"\.self_attn\.in_proj_weight", ".attention.project_in.weight"),
    (r"\.self_attn\.out_proj\.", ".attention.project_out."),
    (r"\.linear1\.", ".expand."),
    (r"\.linear2\.", ".contract."),
)
KINDS = {"": (0.02, 1e-5), "sharp.": (0.15, 1e-4)}
"""By the prefix of recorded names: deviation of the weights, tolerance."""


def own_name(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


@cache
def recorded() -> Recording:
    return recording("lm", "foleygen")


def stated(name: str) -> int:
    return int(recorded().header[name])


def model_of(kind: str, visual: VisualConfig | None = None, *, frame_rate: float = 50.0) -> LanguageModel:
    """Return the model that was recorded; its visual vectors come without a projection."""
    config = LmConfig(
        codebook_size=stated("card"),
        width=stated("dim"),
        num_layers=stated("layers"),
        num_heads=stated("heads"),
        feature_width=stated("dim"),
        frame_rate=frame_rate,
        visual=visual or VisualConfig(),
    )
    model = LanguageModel(config).eval()
    weights = filled(manifest("foleygen_lm_small")["keys"], KINDS[kind][0])
    state = {own_name(name): tensor for name, tensor in weights.items()}
    state |= {"visual_in.weight": torch.eye(config.width), "visual_in.bias": torch.zeros(config.width)}
    model.load_state_dict(state)
    return model


def conditioned(model: LanguageModel, features: Tensor, *, has_video: bool = True) -> Tensor:
    return model.condition(features, torch.full((len(features),), has_video))


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_logits(kind: str) -> None:
    model, given, tolerance = model_of(kind), recorded().tensors, KINDS[kind][1]
    visual = given["visual"]
    for name, tokens, seen in (
        ("logits_full", given["seq_full"], conditioned(model, visual)),
        ("logits_valid", given["seq_valid"], conditioned(model, visual)),
        ("logits_valid_null", given["seq_valid"], conditioned(model, visual, has_video=False)),
        ("logits_valid_noprefix", given["seq_valid"], conditioned(model, visual[:, :0])),
    ):
        assert_near(f"lm: {kind}{name}", model(tokens, seen), given[f"{kind}{name}"], tolerance)
    predicted, mask = align(model(given["seq_valid"], conditioned(model, visual)), stated("T"), model.config.delays)
    assert torch.equal(mask.expand_as(given["pred_mask"]), given["pred_mask"])
    assert_near(f"lm: {kind}aligned logits", predicted, given[f"{kind}pred_logits"], tolerance)


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_loss(kind: str) -> None:
    given, tolerance = recorded().tensors, KINDS[kind][1]
    objective = LanguageObjective(model_of(kind), video_dropout=0.0, pattern="truncated")
    losses = objective(CodesBatch(codes=given["codes"], video=given["visual"]), torch.Generator().manual_seed(0))
    parts = torch.stack([losses.parts[f"cross_entropy_{index}"] for index in range(4)])
    assert_near(f"lm: {kind}loss by codebook", parts, given[f"{kind}ce_per_codebook"], tolerance)
    assert_near(f"lm: {kind}loss", losses.total[None], given[f"{kind}ce"], tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["cfg3", "cfg1", "prompt"])
def test_greedy_generation(kind: str, name: str) -> None:
    model, given = model_of(kind), recorded().tensors
    none = given["codes"][:, :, :0]
    codes = generate_codes(
        model,
        given["visual"],
        given["gen.prompt.prompt"] if name == "prompt" else none,
        stated("gen"),
        sampling=SamplingConfig(guidance_scale=1.0 if name == "cfg1" else 3.0, temperature=0.0),
        generator=torch.Generator().manual_seed(0),
    )
    assert torch.equal(codes, given[f"{kind}gen.{name}.tokens"])


@pytest.mark.parametrize("attention", ["all_frame", "causal", "frame_wise"])
@torch.inference_mode()
def test_visual_attention(attention: str) -> None:
    given = recorded().tensors
    visual = VisualConfig(rate=stated("fv"), mechanism=attention)
    for kind, (_, tolerance) in KINDS.items():
        model = model_of(kind, visual, frame_rate=stated("fa"))
        timing: VisualTiming = model.config.timing
        expected = given[f"va.{attention}.mask"]
        place = torch.arange(len(expected))
        assert torch.equal(prefix_mask(place, place, stated("N"), attention, timing), expected)
        logits = model(given["va.seq"], conditioned(model, given["va.visual"]))
        assert_near(f"lm: {kind}{attention}", logits, given[f"{kind}va.{attention}.logits"], tolerance)


def test_names_and_shapes_of_the_published_size() -> None:
    own = shapes_of(lambda: LanguageModel(foleygen().lm))
    expected = {own_name(entry["key"]): tuple(entry["shape"]) for entry in manifest("foleygen_lm_24x1024")["keys"]}
    assert {name: shape for name, shape in own.items() if not name.startswith("visual_in")} == expected
    assert (
        sum(torch.Size(shape).numel() for shape in expected.values()) == manifest("foleygen_lm_24x1024")["parameters"]
    )
