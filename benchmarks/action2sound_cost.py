"""Action2Sound at its published size on random weights: convert, generate as whole processes, and one network call.

    python benchmarks/action2sound_cost.py [--seconds 3] [--steps 25] [--dtypes float32 bfloat16] [--folder DIR]

Writes files laid out as the published ones are (9 GB with the converted folder, deleted at the end), and prints tables
for benchmarks/results: wall time and peak memory of the commands and the seconds of every stage, and the processor
seconds of a network call on one window, both branches of guidance in it, with the context's keys and values computed
once or anew.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from foleykit.models.avldm.published.pipeline import Action2SoundPipeline
from foleykit.models.avldm.published.presets import action2sound
from foleykit.video.encode import write_video
from generate_cost import moving_pictures
from mmaudio_cost import FPS, ROOT, measured

CALLS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of Action2Sound at published size.")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        model, video = folder / "model", folder / "clip.mp4"
        write_video(video, moving_pictures(options.seconds), FPS)
        latent_model, eyes = write_published(folder)
        words = ["--ldm", str(latent_model), "--video", str(eyes)]
        converted, wall, peak = measured(["models", "convert", "action2sound", str(model), *words])
        num_bytes = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
        print("| command | wall s | peak GB |\n|---|---|---|")
        print(
            f"| convert, {num_bytes / 1e9:.2f} GB, vocoder {converted['vocoder']} | {wall:.0f} | {peak:.1f} |",
            flush=True,
        )
        latent_model.unlink()
        eyes.unlink()
        for dtype in options.dtypes:
            generated(video, model, folder / f"{dtype}.mp4", dtype, options.steps)
        print("\n| network call | keys and values | processor s |\n|---|---|---|")
        for dtype in options.dtypes:
            calls(model, dtype)


def write_published(folder: Path) -> tuple[Path, Path]:
    """Return files of random weights with the names and shapes of the published ones."""
    sys.path.append(str(ROOT / "tests"))
    from fixtures.published import latent_entries, save_lightning, video_entries

    config = action2sound()
    latent_model = save_lightning(latent_entries(config), folder / "epoch=000007.ckpt")
    torch.save({"state_dict": video_entries(config)}, folder / "av.pth")
    return latent_model, folder / "av.pth"


def generated(video: Path, model: Path, output: Path, dtype: str, num_steps: int) -> None:
    """Generate once and print the table's row and its stages."""
    words = ["generate", str(video), "--model", str(model), "--num-steps", str(num_steps), "--dtype", dtype]
    made, wall, peak = measured([*words, "--ambient", "quiet", "-o", str(output)])
    print(f"| generate {made['seconds']:g} s, {num_steps} steps, {dtype} | {wall:.0f} | {peak:.1f} |")
    print("stages:", ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in made["timings"].items()))
    print(f"samples: {made['num_samples']} at {made['sample_rate']} Hz", flush=True)


@torch.inference_mode()
def calls(model: Path, dtype: str) -> None:
    """Print rows of the median processor seconds of a network call."""
    kind = getattr(torch, dtype)
    pipeline = Action2SoundPipeline.load(model, dtype=kind)
    config, denoiser = pipeline.config, pipeline.denoiser
    latents = torch.randn(2, config.unet.latent_width, config.latent_rows, config.window_positions, dtype=kind)
    context = torch.randn(2, config.num_context_tokens, config.unet.context_width, dtype=kind)
    times = torch.full((2,), 500.0)
    for label, cache in (("computed once", denoiser.project_context(context)), ("computed anew", None)):
        taken = []
        for _ in range(CALLS + 1):
            started = time.process_time()
            denoiser(latents, times, context, cache)
            taken.append(time.process_time() - started)
        print(f"| {dtype} | {label} | {statistics.median(taken[1:]):.2f} |", flush=True)


if __name__ == "__main__":
    main()
