"""How FoleyGen sees the video: models that differ in that alone, on unseen places of the world.

    python benchmarks/foleygen_mechanisms.py CACHE CLASSIFIER FOLDER NAME=MODEL... [--num-videos 1536] [--num-clips 96]

CACHE is a cache of the world, CLASSIFIER a trained material classifier, FOLDER receives clips and sounds. Prints, for
ambience `quiet` and the true neighbour, onset F1, envelope correlation, the Fréchet distance to the true mixes and the
mean divergence of the material classifier's posteriors, window by window, of the true mix from the generated sound,
with 95 % intervals over clips.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foleykit.audio.files import read_waveform
from foleykit.evaluation.material_classifier import MaterialClassifier
from foleykit.evaluation.metrics.intervals import Estimate, bootstrap_percentile
from foleykit.evaluation.metrics.kl_divergence import kl_divergence
from foleykit.evaluation.world import evaluate_world
from foleykit.models.foleygen.pipeline import FoleyGenPipeline
from foleykit.recipes.avldm_evaluation import (
    WorldSetArgs,
    generate_condition,
    neighbour_ambient,
    quiet_ambient,
    write_world_reference,
)
from foleykit.recipes.world_data import WorldDataArgs

FIGURES = ("onset_f1", "envelope_correlation", "frechet_mix")


def main() -> None:
    parser = argparse.ArgumentParser(description="FoleyGen's ways of seeing the video.")
    parser.add_argument("cache", type=Path)
    parser.add_argument("classifier", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL")
    parser.add_argument("--num-videos", type=int, default=1536)
    parser.add_argument("--num-clips", type=int, default=96)
    args = parser.parse_args()
    data = WorldDataArgs(cache=args.cache, num_videos=args.num_videos)
    clips = WorldSetArgs(data=data, folder=args.folder, num_clips=args.num_clips)
    reference = args.folder / "reference"
    names = [info.clip_id for info in write_world_reference(clips)]
    sounds: dict[str, Path] = {}
    for name, folder in (model.split("=", 1) for model in args.models):
        pipeline = FoleyGenPipeline.load(Path(folder))
        for mode, ambient in (("quiet", quiet_ambient(pipeline)), ("neighbour", neighbour_ambient(reference))):
            sounds[f"{name}, {mode}"] = generate_condition(clips, pipeline, f"{name}-{mode}", ambient)
    classifier = MaterialClassifier.load(args.classifier)
    report = evaluate_world(reference, sounds, classifier=classifier)
    print("| sound | onset F1 | envelope | FD to mix | KL of materials |\n|---|---|---|---|---|")
    true = [logits(classifier, reference / f"{name}.wav") for name in names]
    apart = {"shuffled pairs": true[1:] + true[:1]}
    apart |= {key: [logits(classifier, folder / f"{name}.wav") for name in names] for key, folder in sounds.items()}
    for row in report.rows:
        if row.name in ("true mix", *apart):
            divergence = written(divergence_of(true, apart[row.name])) if row.name in apart else "0"
            figures = " | ".join(written(row.estimates[figure]) for figure in FIGURES)
            print(f"| {row.name} | {figures} | {divergence} |")


@torch.inference_mode()
def logits(classifier: MaterialClassifier, path: Path) -> Tensor:
    """Return material logits (N, C) of the windows of a sound, side by side."""
    waveform, _ = read_waveform(path, sample_rate=classifier.config.sample_rate, mono=True)
    return classifier.judge(
        torch.from_numpy(waveform[0]).unfold(0, classifier.config.num_samples, classifier.config.num_samples)
    ).material


def divergence_of(true: list[Tensor], made: list[Tensor]) -> Estimate:
    values = np.array(
        [
            kl_divergence(one[: len(other)], other[: len(one)]).mean().item()
            for one, other in zip(true, made, strict=True)
        ]
    )
    return bootstrap_percentile(lambda chosen: float(values[chosen].mean()), len(values))


def written(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


if __name__ == "__main__":
    main()
