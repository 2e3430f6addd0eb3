"""Steering leaves what is familiar alone, and makes what is strange say clearly what head and contact maps call for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from foleykit.core.checkpoint import save_weights
from foleykit.core.errors import ModelError
from foleykit.encoders.visual.steering import (
    FILE_NAME,
    OnsetSteering,
    believed_peaks,
    clear_logits,
    load_steering,
    nearness,
    seen_features,
)
from foleykit.encoders.visual.two_rate import TwoRateConfig, TwoRateEncoder, features_of

WIDTH = 16


@pytest.fixture
def steering() -> OnsetSteering:
    """Return steering that was fitted on unit normal mean features."""
    generator = torch.Generator().manual_seed(0)
    onset = nn.Linear(WIDTH, 1)
    onset.weight.data[:] = torch.randn(1, WIDTH, generator=generator)
    onset.bias.data[:] = -2.0
    fitted = OnsetSteering(WIDTH)
    fitted.fit_(onset, torch.randn(4000, WIDTH, generator=generator), torch.randn(4000, generator=generator))
    return fitted.requires_grad_(False)


def features_at(centre: float, num_frames: int = 100) -> Tensor:
    return centre + 0.1 * torch.randn(num_frames, WIDTH, generator=torch.Generator().manual_seed(1))


def test_fitting_makes_training_videos_lie_about_as_many_deviations_off_as_there_are_directions(
    steering: OnsetSteering,
) -> None:
    means = torch.randn(2000, WIDTH, generator=torch.Generator().manual_seed(2))
    distances = ((means - steering.familiar) @ steering.whitening.T).square().sum(dim=1)
    assert float(distances.mean()) == pytest.approx(WIDTH, rel=0.05)
    assert steering.contact.tolist() == pytest.approx([0, 1], abs=0.05)


def test_a_familiar_video_keeps_its_features_and_a_strange_one_does_not(steering: OnsetSteering) -> None:
    familiar, strange = features_at(0.0), features_at(4.0)
    contact = torch.zeros(100)
    kept, turned = steering(familiar, contact), steering(strange, contact)
    assert steering.strangeness(familiar) == kept.strangeness == 0 and torch.equal(kept.told, familiar)
    assert steering.strangeness(strange) == turned.strangeness == 1 and not torch.equal(turned.told, strange)
    for seen, features in ((kept, familiar), (turned, strange)):
        assert seen.values is features and seen.evidence is not None and seen.evidence.shape == (100,)


def test_strangeness_rises_without_a_step_and_a_short_video_is_believed_less(steering: OnsetSteering) -> None:
    shares = [steering.strangeness(features_at(centre)) for centre in np.linspace(0, 4, 80)]
    assert shares == sorted(shares) and any(0.2 < share < 0.8 for share in shares)
    centre = float(np.linspace(0, 4, 80)[next(index for index, share in enumerate(shares) if share > 0.5)])
    assert steering.strangeness(features_at(centre, 20)) < steering.strangeness(features_at(centre, 1000))


def test_steered_features_say_what_was_decided_and_nothing_else_of_those_near_an_onset_changes(
    steering: OnsetSteering,
) -> None:
    strange, contact = features_at(4.0), torch.zeros(100)
    # A faint sign, of the contact maps alone, is heard as clearly as any.
    logits = steering.onset(strange)[:, 0]
    contact[40] = (3.5 - float(logits[40])) / 1.25 + 1
    contact[logits.argsort()[-3:]] -= 50
    seen = steering(strange, contact)
    steered = seen.told
    said = steering.onset(steered)[:, 0]
    mean, deviation = steering.contact
    evidence = logits + 1.25 * (contact - mean) / deviation
    # How faint the sign was is kept beside it.
    assert seen.evidence is not None and torch.allclose(seen.evidence, evidence, atol=1e-4)
    onsets = believed_peaks(evidence, -0.5)
    assert 40 in onsets and torch.allclose(said, clear_logits(onsets, 100), atol=1e-4)
    assert float(said[40]) == pytest.approx(4, abs=1e-4)
    direction = steering.onset.weight[0] / steering.onset.weight.norm()
    moved = (steered - strange)[30:51]
    assert torch.allclose(moved, (moved @ direction)[:, None] * direction, atol=1e-5)


def test_away_from_onsets_strange_features_become_those_of_the_training(steering: OnsetSteering) -> None:
    strange, contact = features_at(4.0), torch.full((100,), -50.0)
    direction = steering.onset.weight[0] / steering.onset.weight.norm()
    moved = steering(strange, contact).told - steering.familiar
    assert torch.allclose(moved, (moved @ direction)[:, None] * direction, atol=1e-5)
    assert torch.allclose(steering.onset(steering.familiar + moved), torch.tensor(-4.0), atol=1e-4)
    near = nearness([20, 90], 200)
    assert near[[0, 20, 45, 65, 115]].tolist() == [1] * 5 and near[[55, 121, 199]].tolist() == [0] * 3
    assert 0 < near[118] < 1 and nearness([], 100).max() == 0


def test_of_onsets_within_reach_the_strongest_stays_and_others_go() -> None:
    evidence = torch.full((60,), -3.0)
    evidence[[10, 12, 50, 59]] = torch.tensor([3.5, 4.0, 3.1, 5.0])
    clear = clear_logits(believed_peaks(evidence, 0.0), 60)
    assert (clear == 4.0).nonzero()[:, 0].tolist() == [12, 50, 59]
    assert float(clear[11]) == float(clear[13]) == 1.0 and float(clear[30]) == float(clear[0]) == -4.0


def test_faint_onsets_are_believed_only_near_three_sure_ones() -> None:
    evidence = torch.full((900,), -3.0)
    faint, sure = [30, 200, 800], [100, 140, 700]
    evidence[faint] = 0.5
    evidence[sure] = 4.0
    assert believed_peaks(evidence, 0.0) == sure
    evidence[170] = 3.5
    assert believed_peaks(evidence, 0.0) == [30, 100, 140, 170, 200, 700]
    evidence[250] = -0.2
    assert 250 not in believed_peaks(evidence, 0.0) and 250 in believed_peaks(evidence, -0.5)


def test_a_familiar_video_changes_at_believed_onsets_alone_and_at_all_signs_where_less_is_asked_for(
    steering: OnsetSteering,
) -> None:
    direction = steering.onset.weight[0] / steering.onset.weight.norm()
    quiet = features_at(0.0)
    familiar = quiet + ((-5.0 - steering.onset(quiet)) / steering.onset.weight.norm()) * direction
    signs = {20: 1.5, 40: 0.5, 60: 5.0, 80: -1.0}
    for frame, logit in signs.items():
        familiar[frame] += (logit + 5.0) / steering.onset.weight.norm() * direction
    mean, deviation = steering.contact
    contact = mean.expand(100).clone()
    # Of the second sign alone the contact maps know too.
    contact[40] += 3 * deviation / 1.25
    before = steering.onset(familiar)[:, 0]

    def change(sensitivity: float) -> Tensor:
        return steering.onset(steering(familiar, contact, sensitivity).told)[:, 0] - before

    same, more, less = (change(way) for way in (0.0, 1.0, -1.0))
    assert same.nonzero()[:, 0].tolist() == [39, 40, 41, 59, 61]
    assert float(before[40] + same[40]) == pytest.approx(4, abs=1e-4)
    assert (before + more > 3.9).nonzero()[:, 0].tolist() == [20, 40, 60, 80]
    assert (before + less > 1).nonzero()[:, 0].tolist() == [60]
    assert float(less[20]) == pytest.approx(-2, abs=1e-4) and float(less[80]) == 0


def test_of_a_strange_video_the_more_is_believed_the_higher_the_sensitivity(steering: OnsetSteering) -> None:
    strange, contact = features_at(4.0, 400), torch.zeros(400)
    logits = steering.onset(strange)[:, 0]
    signs = {40: 6.5, 80: 4.0, 150: 3.5, 180: 1.5, 220: -2.0}
    contact -= (logits + 20) / 1.25
    for frame, sign in signs.items():
        contact[frame] += (sign + 20) / 1.25
    mean, deviation = steering.contact
    contact = contact * deviation + mean
    heard = []
    for sensitivity in (-1.0, 0.0, 1.0):
        seen = steering(strange, contact, sensitivity)
        said = steering.onset(seen.told)[:, 0]
        heard.append((said > 3.9).nonzero()[:, 0].tolist())
        # How faint each sign was stays what it was.
        assert seen.evidence is not None
        assert seen.evidence[list(signs)].tolist() == pytest.approx(list(signs.values()), abs=0.01)
    assert heard == [[40], [40, 80, 150, 180], [40, 80, 150, 180, 220]]


def test_a_folder_without_the_file_steers_nothing_and_a_misfit_is_named(
    steering: OnsetSteering, tmp_path: Path
) -> None:
    assert load_steering(tmp_path, WIDTH) is None
    save_weights(steering, tmp_path / FILE_NAME)
    loaded = load_steering(tmp_path, WIDTH)
    assert loaded is not None
    strange, contact = features_at(4.0), torch.randn(100, generator=torch.Generator().manual_seed(4))
    assert torch.equal(loaded(strange, contact).told, steering(strange, contact).told)
    with pytest.raises(ModelError, match=r"steering\.safetensors does not fit"):
        load_steering(tmp_path, WIDTH + 1)


def test_what_is_seen_stays_beside_what_is_told() -> None:
    """Retrieval and the judge of takes compare pictures by what was seen."""
    torch.manual_seed(0)
    config = TwoRateConfig(size=32, width=WIDTH, motion_width=16, num_motion_blocks=1, appearance_width=8)
    encoder = TwoRateEncoder(config).eval().requires_grad_(False)
    frames = np.random.default_rng(0).integers(0, 255, (300, 32, 32, 3), dtype=np.uint8)
    features, contact = features_of(encoder, [frames], torch.device("cpu"))
    assert features.shape == (300, WIDTH) and contact.shape == (300,)
    whole = encoder.look(torch.from_numpy(frames).permute(0, 3, 1, 2).float()[None] / 255)
    assert torch.allclose(contact, whole.contact[0].flatten(1).logsumexp(dim=1), atol=1e-4)
    strange = OnsetSteering(WIDTH).requires_grad_(False)
    strange.familiar += 100
    steered = seen_features(encoder, strange, [frames], torch.device("cpu"))
    assert torch.equal(steered.values, features) and not torch.equal(steered.told, features)
    assert torch.equal(seen_features(encoder, None, [frames], torch.device("cpu")).told, features)
