"""Speed of FoleyGen's language model at 24 x 1024 with random weights: the preallocated cache and a concatenating one.

    python benchmarks/foleygen_lm.py [--layers 24] [--runs 3] [--dtypes float32 bfloat16]

Guided generation reads two branches per step. A step is timed at several lengths of the cache, both caches in turn, and
a clip of ten seconds, 503 steps, is the integral over its lengths. Times are processor seconds, which a shared machine
distorts less than wall time; on one idle core the two are the same. Prints a table for benchmarks/results.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from foleykit.models.foleygen.network import KeyValueCache, LanguageModel
from foleykit.models.foleygen.presets import foleygen
from foleykit.tokens.patterns import num_steps

BRANCHES = 2
SECONDS = 10


class ConcatenatingCache(KeyValueCache):
    """The usual way: every step copies all that was kept into a new, longer tensor."""

    def __init__(self, num_positions: int) -> None:
        super().__init__(num_positions)
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}

    def extended(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        if layer in self.kept:
            held_keys, held_values = self.kept[layer]
            keys, values = torch.cat((held_keys, keys), dim=2), torch.cat((held_values, values), dim=2)
        self.kept[layer] = keys, values
        return keys, values


def filled(cache: KeyValueCache, model: LanguageModel, length: int, dtype: torch.dtype) -> KeyValueCache:
    """Return `cache` as if the model had read `length` positions; what stands in it does not change the time."""
    config = model.config
    shape = (BRANCHES, config.num_heads, length, config.width // config.num_heads)
    for layer in range(config.num_layers):
        cache.extended(layer, torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype))
    cache.length = length
    return cache


@torch.inference_mode()
def step_seconds(
    model: LanguageModel, make: Callable[[int], KeyValueCache], length: int, dtype: torch.dtype, runs: int
) -> list[float]:
    """Return the processor seconds of `runs` guided steps after `length` positions; one step more warms up."""
    config = model.config
    visual = torch.zeros(BRANCHES, foleygen().window_visual, config.width, dtype=dtype)
    cache = filled(make(length + runs + 1), model, length, dtype)
    tokens = torch.randint(0, config.codebook_size, (BRANCHES, config.num_codebooks, 1))
    seconds = []
    for _ in range(runs + 1):
        started = time.process_time()
        model(tokens, visual, cache)
        seconds.append(time.process_time() - started)
    return seconds[1:]


def clip_seconds(times: dict[int, float], first: int, last: int) -> float:
    """Return the integral over lengths `first` to `last` of step times known at some lengths, linear between them."""
    known = sorted(times)
    total = 0.0
    for length in range(first, last):
        above = next((place for place in known if place >= length), known[-1])
        below = next((place for place in reversed(known) if place <= length), known[0])
        share = 0.0 if above == below else (length - below) / (above - below)
        total += (1 - share) * times[below] + share * times[above]
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--lengths", type=int, nargs="+", default=[11, 260, 512])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    args = parser.parse_args()
    config = foleygen()
    prefix, frames = config.window_visual, SECONDS * round(config.lm.frame_rate)
    steps = num_steps(frames, config.lm.delays) - 1
    print(f"{args.layers} layers, {torch.get_num_threads()} threads, torch {torch.__version__}, {steps} steps a clip\n")
    print("| dtype | cache | " + " | ".join(f"ms at {length}" for length in args.lengths) + " | steps/s | 10 s clip |")
    print("|---|---|" + "---|" * (len(args.lengths) + 2))
    torch.manual_seed(0)
    model = LanguageModel(replace(config.lm, num_layers=args.layers)).eval().requires_grad_(False)
    for name in args.dtypes:
        dtype: torch.dtype = getattr(torch, name)
        model.to(dtype)
        made: dict[str, float] = {}
        kinds: dict[str, Callable[[int], KeyValueCache]] = {
            "preallocated": KeyValueCache,
            "concatenating": ConcatenatingCache,
        }
        for kind, make in kinds.items():
            times = {
                length: statistics.median(step_seconds(model, make, length, dtype, args.runs))
                for length in args.lengths
            }
            made[kind] = clip_seconds(times, prefix + 1, prefix + 1 + steps)
            cells = " | ".join(f"{1000 * times[length]:.0f}" for length in args.lengths)
            print(f"| {name} | {kind} | {cells} | {steps / made[kind]:.2f} | {made[kind]:.0f} s |", flush=True)
        size = BRANCHES * args.layers * 2 * config.lm.width * dtype.itemsize * (prefix + steps)
        weights = sum(parameter.numel() * parameter.itemsize for parameter in model.parameters())
        ratio = made["concatenating"] / made["preallocated"]
        print(
            f"\n{name}: ratio {ratio:.2f}; weights {weights / 1e6:.0f} MB, cache of a guided clip {size / 1e6:.0f} MB, "
            f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB\n",
            flush=True,
        )


if __name__ == "__main__":
    main()
