"""A generation that a sidecar describes, as a request of its own: to be repeated, or with one stretch made anew."""

from __future__ import annotations

import secrets
import warnings
from dataclasses import replace

from foleykit.core.errors import MediaError, ModelError, UsageError
from foleykit.core.ranges import Reroll
from foleykit.jobs.ambience import BUILT_IN
from foleykit.jobs.library import clip_sha256
from foleykit.jobs.models import describe_model
from foleykit.jobs.request import GenerateRequest, RerollRequest
from foleykit.jobs.sidecar import Sidecar, check_same_file
from foleykit.jobs.soundtrack import Settings, Soundtrack


def replayed(request: GenerateRequest, sidecar: Sidecar) -> GenerateRequest:
    """Return the request that a sidecar describes, after checking that video, recording and weights are the same."""
    assert request.replay is not None
    folder = request.replay.parent
    video = request.video or folder / sidecar.input.path
    check_same_file(video, sidecar.input.sha256, what="video")
    settings = sidecar.settings
    if settings.ambient not in BUILT_IN:
        recording = folder / settings.ambient
        check_same_file(recording, sidecar.ambience.sha256, what="ambience recording")
        settings = replace(settings, ambient=str(recording))
    if settings.ambient_library:
        if "://" not in settings.ambient_library:
            settings = replace(settings, ambient_library=str(folder / settings.ambient_library))
        if clip_sha256(settings.ambient_library, settings.ambient_clip) != sidecar.ambience.sha256:
            raise MediaError(
                f'clip "{settings.ambient_clip}" of {settings.ambient_library} is not the one that the sidecar was '
                "made with: its SHA-256 differs"
            )
    if sidecar.watermark is not None and sidecar.watermark.key != request.watermarker.name:
        raise UsageError(
            f"the sidecar was made with another watermark ({sidecar.watermark.key}); name its key or AudioSeal's folder"
        )
    if describe_model(sidecar.model.name).weights_sha256 != sidecar.model.weights_sha256:
        raise ModelError(f'model "{sidecar.model.name}" is not the one of the sidecar: its weights differ')
    if request.reroll is not None:
        settings = with_reroll(settings, request.reroll, draws_seed=request.draws_seed)
    return replace(
        request,
        video=video,
        replay=None,
        reroll=None,
        draws_seed=False,
        unwanted=(),
        model=sidecar.model.name,
        settings=settings,
        audio_codec=sidecar.audio_codec,
        device=sidecar.model.device,
        dtype=sidecar.model.dtype,
    )


def with_reroll(settings: Settings, asked: RerollRequest, *, draws_seed: bool) -> Settings:
    """Return `settings` with one more stretch that is made anew."""
    seed = settings.last_seed + 1 if asked.seed is None else asked.seed
    again = Reroll(
        start=asked.start,
        end=asked.end,
        seed=secrets.randbelow(2**31) if draws_seed else seed,
        prompt=asked.prompt,
        negative_prompt=asked.negative_prompt,
    )
    return replace(settings, rerolls=(*settings.rerolls, again))


def warn_of_other_samples(soundtrack: Soundtrack, earlier: Sidecar) -> None:
    """Warn where what was re-rolled is not, sample by sample, what the sidecar describes."""
    splice = soundtrack.splice
    if splice is None or soundtrack.settings.rerolls == earlier.settings.rerolls:
        return
    if splice.earlier.samples_sha256() != earlier.output.samples_sha256:
        warnings.warn(
            "this machine or these versions do not repeat the earlier result to the last bit; outside the range the "
            "sound is what they make of it",
            stacklevel=2,
        )
