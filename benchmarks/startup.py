"""How long the program takes before it does anything: `import foleykit` and `foley --help`, each in a new process.

Usage: python benchmarks/startup.py [--runs 9]. Prints a Markdown table; medians after one warm-up run.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version

CASES = {
    "python -c pass": "pass",
    "import foleykit": "import foleykit",
    "foley --help": "from foleykit.cli.main import main; main(['--help'])",
    "foley generate --help": "from foleykit.cli.main import main; main(['generate', '--help'])",
    "import foleykit.jobs.generate (with torch)": "import foleykit.jobs.generate",
}


def seconds_of(code: str) -> tuple[float, float]:
    """Return wall and CPU seconds of a new interpreter that runs `code`."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - start, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    names = ("foleykit", "typer", "rich", "torch")
    print(f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in names)}; ")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; median of {runs} runs after one warm-up\n")
    print("| | wall s | CPU s |\n|---|---|---|")
    for name, code in CASES.items():
        seconds_of(code)
        measured = [seconds_of(code) for _ in range(runs)]
        wall, cpu = (statistics.median(values) for values in zip(*measured, strict=True))
        print(f"| {name} | {wall:.3f} | {cpu:.3f} |")


if __name__ == "__main__":
    main()
