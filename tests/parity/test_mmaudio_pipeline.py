"""MMAudio from features to sound, and how it counts and chooses frames, against the public implementation's numbers."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from foleykit.codecs.vocode import vocode
from foleykit.diffusion.samplers import sample
from foleykit.models.textvideo.guidance import Guidance, even_times
from foleykit.models.textvideo.network import Network, Prepared
from foleykit.models.textvideo.presets import mmaudio
from foleykit.video.picks import next_pictures, summed_times
from parity.fixtures import Recording, assert_near, root
from parity.mmaudio import FOLDER, config_of, recorded
from parity.test_mmaudio_codecs import bigvgan, vae
from parity.test_mmaudio_network import given, known, tiny

EVERYWHERE = (0.0, 1.0)


def branches(network: Network, recording: Recording, length: int, null_text: str | None) -> tuple[Prepared, Prepared]:
    """Return what both branches of guidance know: the null one no video and, unless it has a text, no text."""
    shown = given(recording)
    batch = len(shown.text)
    hidden = known(batch, video=False, text=null_text is not None)
    null = network.with_nulls(given(recording, null_text or "text"), hidden)
    return network.prepare(shown, length), network.prepare(null, length)


@pytest.mark.parametrize(
    ("name", "network", "tolerance"), [("sampling", "net_tiny", 2e-4), ("sampling_v2", "net_tiny_v2", 2e-3)]
)
@torch.inference_mode()
def test_sampling(name: str, network: str, tolerance: float) -> None:
    recording, model = recorded(name), tiny(network)
    noise = recording.given("x0").transpose(1, 2)
    seen: list[tuple[float, Tensor]] = []

    def walk(scale: float, num_steps: int, null_text: str | None) -> Tensor:
        conditional, null = branches(model, recording, noise.shape[2], null_text)
        seen.clear()
        made = []
        # One clip at a time: the recordings' batch is of clips with nulls of their own.
        for index in range(len(noise)):
            guided = Guidance(
                model,
                conditional.split(1)[index],
                null.split(1)[index],
                scale=scale,
                interval=EVERYWHERE,
            )

            def velocity(x: Tensor, t: float, guided: Guidance = guided) -> Tensor:
                seen.append((1 - t, x))
                return guided(x, t)

            made.append(sample(velocity, noise[index : index + 1], even_times(num_steps)))
        return torch.cat(made)

    done = set()
    for what in recording.outputs:
        if not (match := re.fullmatch(r"cfg([\d.]+)(_neg)?(?:_(\d+)steps)?", what)):
            continue
        num_steps = int(match[3]) if match[3] else recording.expected("cfg4.5_t").numel()
        made = walk(float(match[1]), num_steps, "neg_text" if match[2] else None)
        assert_near(f"mmaudio {name}: {what}", made.transpose(1, 2), recording.expected(what), tolerance)
        done.add(what)
        if what == "cfg4.5":
            half = len(seen) // len(noise)
            times = torch.tensor([t for t, _ in seen[:half]])
            assert_near(f"mmaudio {name}: cfg4.5_t", times, recording.expected("cfg4.5_t"), 1e-6)
            states = torch.stack([torch.cat((seen[i][1], seen[half + i][1])) for i in range(half)])
            expected = recording.expected("cfg4.5_x_steps")
            assert_near(f"mmaudio {name}: cfg4.5_x_steps", states.transpose(2, 3), expected, tolerance)
            latents = model.unnormalise(made).transpose(1, 2)
            expected = recording.expected("cfg4.5_unnormalized")
            assert_near(f"mmaudio {name}: cfg4.5_unnormalized", latents, expected, tolerance)
            done |= {"cfg4.5_t", "cfg4.5_x_steps", "cfg4.5_unnormalized"}
    assert sorted(done) == recording.outputs


@torch.inference_mode()
def test_features_to_sound() -> None:
    recording, stated = recorded("pipeline"), config_of("pipeline")
    network_name, vae_name, vocoder_name = stated["manifests"]
    network, codec, vocoder = tiny(network_name), vae(vae_name), bigvgan(vocoder_name)
    noise = recording.given("x0").transpose(1, 2)
    conditional, null = branches(network, recording, noise.shape[2], "neg_text")
    guided = Guidance(network, conditional, null, scale=stated["cfg_strength"], interval=EVERYWHERE)
    normalised = sample(guided, noise, even_times(stated["steps"]))
    assert_near("mmaudio pipeline: x1", normalised.transpose(1, 2), recording.expected("x1"), 5e-4)
    latents = network.unnormalise(normalised)
    assert_near("mmaudio pipeline: latent", latents.transpose(1, 2), recording.expected("latent"), 5e-4)
    mel = codec.decode(latents)
    assert_near("mmaudio pipeline: mel", mel, recording.expected("mel"), 5e-4)
    waveform = torch.from_numpy(vocode(vocoder, (mel[0],), vocoder.config.hop_length))
    assert_near("mmaudio pipeline: wave", waveform[None, None], recording.expected("wave"), 5e-4)


def test_sequence_lengths() -> None:
    rows = json.loads((root() / FOLDER / "sequence_lengths.json").read_text())
    assert rows
    for row in rows:
        for rate, config in (("16k", mmaudio("small-16k")), ("44k", mmaudio("large-44k-v2"))):
            lengths, expected = config.sequence_lengths(row["duration"]), row[rate]
            assert lengths.latents == expected["latent"], row
            assert lengths.latents * config.hop_length == expected["num_audio_frames"], row
            assert lengths.pictures == expected["clip"], row
            assert lengths.segments * config.sync.tokens_per_segment == expected["sync"], row


@dataclass
class Picture:
    index: int
    time: float


def test_frame_sampling() -> None:
    rows = json.loads((root() / FOLDER / "frame_sampling.json").read_text())
    assert rows
    for row in rows:
        fps = Fraction(*row["fps"])
        pictures = [Picture(index, float(index / fps)) for index in range(row["n_frames"])]
        for rate, expected in ((8, row["clip_all"]), (25, row["sync_all"])):
            picked = next_pictures(iter(pictures), summed_times(rate))
            inside = itertools.takewhile(lambda picture, end=row["duration"]: picture.time <= end, picked)
            assert [picture.index for picture in inside] == expected, (row["fps"], rate)
        kept = row["duration_kept"]
        assert mmaudio("small-16k").sequence_lengths(kept).pictures == row["n_clip"]
        assert int(25 * kept) == row["n_sync"]
