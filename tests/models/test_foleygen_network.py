"""Laws of the language model: what it may know, what a cache changes (nothing), what guidance means, what it learns."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor

from foleykit.core.errors import ConfigError, InputError
from foleykit.core.types import CodesBatch
from foleykit.models.foleygen.config import LmConfig, SamplingConfig, VisualConfig
from foleykit.models.foleygen.generation import generate_codes
from foleykit.models.foleygen.network import KeyValueCache, LanguageModel
from foleykit.models.foleygen.objective import LanguageObjective, cross_entropies
from foleykit.tokens.patterns import align, delay

VISUALS = [
    VisualConfig(),
    VisualConfig(mechanism="causal"),
    VisualConfig(mechanism="frame_wise"),
    VisualConfig(mechanism="aligned"),
    VisualConfig(mechanism="causal", codebook="finest", rows="diagonal"),
    VisualConfig(mechanism="frame_wise", frame_of="input", null="learned"),
    VisualConfig(rows="diagonal"),
]
NAMES = [f"{visual.mechanism}-{visual.codebook}-{visual.frame_of}-{visual.rows}" for visual in VISUALS]
NUM_FRAMES, NUM_VISUAL = 12, 3
GREEDY = SamplingConfig(temperature=0.0)


def model_of(visual: VisualConfig, *, seed: int = 0) -> LanguageModel:
    """Return a small model at four codes per visual vector, its attention so sharp that everything counts."""
    torch.manual_seed(seed)
    model = LanguageModel(
        LmConfig(
            codebook_size=16,
            frame_rate=4.0,
            width=32,
            num_layers=2,
            num_heads=2,
            feature_width=8,
            visual=visual,
        )
    ).eval()
    with torch.no_grad():
        for layer in model.layers:
            layer.attention.project_in.weight.mul_(4)
        if visual.null == "learned":
            model.null_visual.normal_()
    return model


@pytest.fixture
def codes() -> Tensor:
    return torch.randint(0, 16, (2, 4, NUM_FRAMES), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def features() -> Tensor:
    return 3 * torch.randn(2, NUM_VISUAL, 8, generator=torch.Generator().manual_seed(2))


def conditioned(model: LanguageModel, features: Tensor, *, has_video: bool = True) -> Tensor:
    return model.condition(features, torch.full((len(features),), has_video))


@pytest.mark.parametrize("visual", VISUALS, ids=NAMES)
@pytest.mark.parametrize("chunk", [1, 5])
@torch.inference_mode()
def test_steps_with_a_cache_equal_the_parallel_pass(
    visual: VisualConfig, chunk: int, codes: Tensor, features: Tensor
) -> None:
    model = model_of(visual)
    tokens = delay(codes, model.config.delays, model.config.special)
    seen = conditioned(model, features)
    cache = KeyValueCache(NUM_VISUAL + tokens.shape[2])
    parts = [model(part, seen, cache) for part in tokens.split(chunk, dim=2)]
    torch.testing.assert_close(torch.cat(parts, dim=2), model(tokens, seen), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("visual", VISUALS, ids=NAMES)
@torch.inference_mode()
def test_a_frame_changes_only_the_steps_that_may_know_of_it(
    visual: VisualConfig, codes: Tensor, features: Tensor
) -> None:
    model = model_of(visual)
    tokens = delay(codes, model.config.delays, model.config.special)
    frame_of = model.config.timing.frame_at(torch.arange(tokens.shape[2]), NUM_VISUAL)
    plain = model(tokens, conditioned(model, features))
    for frame in range(NUM_VISUAL):
        changed = features.clone()
        changed[:, frame] += 5
        moved = (model(tokens, conditioned(model, changed)) - plain).abs().amax(dim=(0, 1, 3)) > 0
        if visual.mechanism == "all_frame":
            assert moved.all()
        else:
            assert not moved[frame_of < frame].any(), "the future was seen"
            assert moved[frame_of == frame].all()


@pytest.mark.parametrize("visual", VISUALS, ids=NAMES)
@torch.inference_mode()
def test_a_token_changes_only_later_outputs(visual: VisualConfig, codes: Tensor, features: Tensor) -> None:
    model = model_of(visual)
    tokens = delay(codes, model.config.delays, model.config.special)
    other = tokens.clone()
    other[:, 1, 6] = (other[:, 1, 6] + 1) % 16
    seen = conditioned(model, features)
    moved = (model(tokens, seen) - model(other, seen)).abs().amax(dim=(0, 1, 3)) > 0
    assert not moved[:6].any() and moved[6:].all()


@torch.inference_mode()
def test_frame_wise_sound_does_not_attend_to_other_frames_directly(codes: Tensor, features: Tensor) -> None:
    """With one layer, and frames that see themselves alone, the first steps of a second know its frame and no other."""
    visual = VisualConfig(mechanism="frame_wise", rows="diagonal")
    model = model_of(visual)
    model.layers = model.layers[:1]
    tokens = delay(codes, model.config.delays, model.config.special)
    plain = model(tokens, conditioned(model, features))
    changed = features.clone()
    changed[:, 0] += 5
    moved = (model(tokens, conditioned(model, changed)) - plain).abs().amax(dim=(0, 1, 3)) > 0
    assert moved[:4].all() and not moved[4:].any()


@torch.inference_mode()
def test_the_null_keeps_the_place_of_every_step(codes: Tensor, features: Tensor) -> None:
    model = model_of(VisualConfig())
    tokens = delay(codes, model.config.delays, model.config.special)
    null = conditioned(model, features, has_video=False)
    assert null.shape == (2, NUM_VISUAL, 32) and not null.any()
    assert torch.equal(model(tokens, null), model(tokens, conditioned(model, 0 * features + 7, has_video=False)))
    without = model(tokens, null[:, :0])
    assert not torch.allclose(model(tokens, null), without), "vectors of zeros still take their places"


@pytest.mark.parametrize("visual", VISUALS, ids=NAMES)
def test_guidance_of_one_is_the_video_alone_and_of_zero_the_null_alone(
    visual: VisualConfig, codes: Tensor, features: Tensor
) -> None:
    model = model_of(visual)

    def made(scale: float, seen: Tensor) -> Tensor:
        return generate_codes(
            model,
            seen,
            codes[:, :, :0],
            NUM_FRAMES,
            sampling=SamplingConfig(guidance_scale=scale),
            generator=torch.Generator().manual_seed(3),
        )

    assert torch.equal(made(0.0, features), made(0.0, -features))
    assert not torch.equal(made(1.0, features), made(1.0, -features))
    # Two branches at 1 + a hair are nearly one branch.
    assert (made(1.0, features) == made(1.0 + 1e-6, features)).float().mean() > 0.9


@pytest.mark.parametrize("visual", VISUALS, ids=NAMES)
@torch.inference_mode()
def test_greedy_generation_is_what_the_parallel_pass_would_choose(
    visual: VisualConfig, codes: Tensor, features: Tensor
) -> None:
    """Each code is the likeliest given all before it: the whole pattern, both branches and the cache at once."""
    model = model_of(visual)
    prompt = codes[:, :, :5]
    made = generate_codes(model, features, prompt, NUM_FRAMES, sampling=GREEDY, generator=torch.Generator())
    assert torch.equal(made[:, :, :5], prompt)
    tokens = delay(made, model.config.delays, model.config.special)
    with_video, without = (
        model(tokens, conditioned(model, features, has_video=has_video)) for has_video in (True, False)
    )
    guided, mask = align(without + 3 * (with_video - without), NUM_FRAMES, model.config.delays)
    assert mask.all() and torch.equal(guided.argmax(dim=-1)[:, :, 5:], made[:, :, 5:])


def test_one_seed_gives_one_sound(codes: Tensor, features: Tensor) -> None:
    model = model_of(VisualConfig())
    first, again, other = (
        generate_codes(
            model,
            features,
            codes[:, :, :0],
            NUM_FRAMES,
            sampling=SamplingConfig(),
            generator=torch.Generator().manual_seed(seed),
        )
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert int(first.min()) >= 0 and int(first.max()) < 16, "the special token is never a code"


def test_wrong_prompts_and_full_caches_are_refused(codes: Tensor, features: Tensor) -> None:
    model = model_of(VisualConfig())

    def made(prompt: Tensor) -> Tensor:
        return generate_codes(model, features, prompt, 8, sampling=GREEDY, generator=torch.Generator())

    with pytest.raises(InputError, match="longer than the 8 frames"):
        made(codes)
    with pytest.raises(InputError, match="from 0 to 15; got 99"):
        made(torch.full((2, 4, 3), 99))
    with pytest.raises(InputError, match="4 codebooks"):
        made(codes[:, :2, :3])
    with pytest.raises(InputError, match="more than the 5"):
        model(torch.zeros(2, 4, 4, dtype=torch.long), conditioned(model, features), KeyValueCache(5))


@pytest.mark.parametrize("pattern", ["full", "truncated"])
def test_masked_positions_have_no_gradient(pattern: Literal["full", "truncated"], codes: Tensor) -> None:
    logits = torch.randn(2, 4, NUM_FRAMES + 1, 16, requires_grad=True)
    predicted, mask = align(logits, NUM_FRAMES, (0, 1, 2, 3))
    assert not mask.all()
    cross_entropies(predicted, codes, mask).mean().backward()
    assert logits.grad is not None
    step = torch.arange(NUM_FRAMES + 1)
    for index in range(4):
        is_used = (step >= index) & (step < NUM_FRAMES)
        moved = logits.grad[:, index].abs().amax(dim=(0, 2)) > 0
        assert torch.equal(moved, is_used)


@pytest.mark.parametrize("pattern", ["full", "truncated"])
def test_the_loss_is_the_mean_over_codebooks_and_untrained_it_is_nearly_uniform(
    pattern: Literal["full", "truncated"], codes: Tensor, features: Tensor
) -> None:
    objective = LanguageObjective(model_of(VisualConfig()), pattern=pattern)
    losses = objective(CodesBatch(codes=codes, video=features), torch.Generator().manual_seed(0))
    each = torch.stack([losses.parts[f"cross_entropy_{index}"] for index in range(4)])
    torch.testing.assert_close(losses.total.detach(), each.mean())
    torch.testing.assert_close(losses.parts["perplexity_2"], each[2].exp())
    assert 1.5 < losses.total.item() < 5


def test_video_is_dropped_per_sample_or_per_batch() -> None:
    model = model_of(VisualConfig(mechanism="aligned"))
    codes, features = torch.zeros(64, 4, 4, dtype=torch.long), torch.randn(64, 1, 8)
    seen: list[Tensor] = []
    condition = model.condition
    model.condition = lambda features, has_video: seen.append(has_video) or condition(features, has_video)  # type: ignore[method-assign,func-returns-value]
    for drops_batch in (False, True):
        objective = LanguageObjective(model, video_dropout=0.5, drops_batch=drops_batch)
        for seed in range(8):
            objective(CodesBatch(codes=codes, video=features), torch.Generator().manual_seed(seed))
    shares = torch.stack(seen).float().mean(dim=1)
    assert ((shares[:8] > 0.2) & (shares[:8] < 0.8)).all() and set(shares[8:].tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("visual", VISUALS[:4], ids=NAMES[:4])
def test_one_batch_is_learnt_and_then_generated(visual: VisualConfig) -> None:
    torch.manual_seed(0)
    model = model_of(visual)
    batch = CodesBatch(codes=torch.randint(0, 16, (2, 4, 8)), video=3 * torch.randn(2, 2, 8))
    objective = LanguageObjective(model, video_dropout=0.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(120):
        loss = objective(batch, torch.Generator().manual_seed(step)).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    made = generate_codes(
        model,
        batch.video,
        batch.codes[:, :, :0],
        8,
        sampling=replace(GREEDY, guidance_scale=1.0),
        generator=torch.Generator(),
    )
    assert torch.equal(made, batch.codes)


def test_impossible_configs_are_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of twice num_heads"):
        LmConfig(width=30, num_heads=4)
    with pytest.raises(ConfigError, match='not "sideways"'):
        VisualConfig(mechanism="sideways")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="temperature"):
        SamplingConfig(temperature=-1.0)
