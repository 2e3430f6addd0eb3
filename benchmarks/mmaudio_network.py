"""One guided network call of MMAudio at published size on random weights, against what the machine can do at best.

    OMP_NUM_THREADS=1 python benchmarks/mmaudio_network.py small-16k large-44k-v2 [--seconds 8] [--runs 5]

A call has both branches of guidance as one batch. The floor is the larger of two times: the call's multiplications
(attention's own, some hundredths of them, left out) at the rate of this machine's best large product in that precision,
of matrices or a convolution, and the weights' bytes at its reading speed.
Times are processor seconds of one thread, which a shared machine distorts less than wall time: of calls the median, of
the two rates the best, measured before and after the calls. Prints a table for benchmarks/results.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from foleykit.models.textvideo.config import TextVideoConfig
from foleykit.models.textvideo.network import Conditioning, Network, Prepared
from foleykit.models.textvideo.presets import mmaudio

BRANCHES = 2
ROWS, WIDTH, KERNEL = 1024, 1024, 3
"""Of the products whose rate is the machine's best."""
READ_BYTES = 2**29


def seconds_of(work: Callable[[], object], runs: int) -> list[float]:
    """Return the processor seconds of `runs` calls; one call more warms up."""
    taken = []
    for _ in range(runs + 1):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return taken[1:]


def product_rate(dtype: torch.dtype, runs: int) -> float:
    """Return multiplications and additions per second of the faster of a matrix product and a convolution."""
    left, right = torch.randn(ROWS, KERNEL * WIDTH).to(dtype), torch.randn(KERNEL * WIDTH, WIDTH).to(dtype)
    sound, kernel = torch.randn(1, WIDTH, ROWS).to(dtype), torch.randn(WIDTH, WIDTH, KERNEL).to(dtype)
    product = seconds_of(lambda: left @ right, runs)
    convolution = seconds_of(lambda: torch.nn.functional.conv1d(sound, kernel, padding=KERNEL // 2), runs)
    return 2 * ROWS * KERNEL * WIDTH * WIDTH / min(product + convolution)


def reading_rate(runs: int) -> float:
    """Return bytes per second of reading memory that no cache holds."""
    memory = torch.ones(READ_BYTES // 4)
    return READ_BYTES / min(seconds_of(lambda: memory.sum(), runs))


def conditioned(network: Network, config: TextVideoConfig, seconds: float) -> Prepared:
    """Return random conditions of a clip of `seconds`, projected once as sampling has them."""
    lengths, own = config.sequence_lengths(seconds), network.config
    shown = Conditioning(
        pictures=torch.randn(BRANCHES, lengths.pictures, own.picture_width),
        sync=torch.randn(BRANCHES, lengths.segments * own.sync_group, own.sync_width),
        text=torch.randn(BRANCHES, own.num_text_tokens, own.text_width),
    )
    return network.prepare(shown, lengths.latents)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="+")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, {options.seconds:g} s of sound, {BRANCHES} branches a call\n")
    print("| size | dtype | call s | TFLOP | best GFLOP/s | floor s | weights GB | GB/s | floor s | call / floor |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for size in options.sizes:
        config = mmaudio(size)
        torch.manual_seed(0)
        network = Network(config.network).eval().requires_grad_(False)
        for name in options.dtypes:
            measure(size, name, network, config, options.seconds, options.runs)


@torch.inference_mode()
def measure(size: str, name: str, network: Network, config: TextVideoConfig, seconds: float, runs: int) -> None:
    """Print the table's row of one size in one precision; the network's weights take that precision."""
    dtype: torch.dtype = getattr(torch, name)
    network.to(dtype)
    prepared = conditioned(network, config, seconds)
    x = torch.randn(BRANCHES, config.network.latent_width, config.sequence_lengths(seconds).latents)
    progress = torch.full((BRANCHES,), 0.5)
    with FlopCounterMode(display=False) as counter:
        network(x, progress, prepared)
    work = counter.get_total_flops()
    num_bytes = sum(parameter.numel() * parameter.itemsize for parameter in network.parameters())
    rate, reading = product_rate(dtype, runs), reading_rate(runs)
    call = statistics.median(seconds_of(lambda: network(x, progress, prepared), runs))
    rate, reading = max(rate, product_rate(dtype, runs)), max(reading, reading_rate(runs))
    floors = work / rate, num_bytes / reading
    print(
        f"| {size} | {name} | {call:.2f} | {work / 1e12:.3f} | {rate / 1e9:.0f} | {floors[0]:.2f} | "
        f"{num_bytes / 1e9:.2f} | {reading / 1e9:.1f} | {floors[1]:.2f} | {call / max(floors):.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
