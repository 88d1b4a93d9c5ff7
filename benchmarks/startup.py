"""What it costs every pytest run that the plugin is installed and not used.

Whole processes, ``pytest`` on one empty test, with the plugin and with ``-p no:kito``, in
alternating order; the figure is the median of the pairs' ratios.

    python benchmarks/startup.py [--runs 30] [--json]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WITH: tuple[str, ...] = ()
WITHOUT = ("-p", "no:kito")


def seconds(folder: Path, options: tuple[str, ...]) -> float:
    """The wall time of one whole run of pytest."""
    # Python must write its compiled modules: an installed package has them.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def measure(runs: int) -> dict[str, float]:
    """Medians in seconds, and the median of the pairs' ratios."""
    times: dict[tuple[str, ...], list[float]] = {WITH: [], WITHOUT: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_nothing.py").write_text("def test_nothing() -> None: ...\n")
        for options in times:
            seconds(folder, options)  # fills the caches of the file system
        for index in range(runs):
            for options in (WITH, WITHOUT) if index % 2 == 0 else (WITHOUT, WITH):
                times[options].append(seconds(folder, options))
    ratios = [a / b for a, b in zip(times[WITH], times[WITHOUT], strict=True)]
    return {
        "with_s": statistics.median(times[WITH]),
        "without_s": statistics.median(times[WITHOUT]),
        "ratio": statistics.median(ratios),
        "runs": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30, help="runs of each (default: 30)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    if not any(x.name == "kito" for x in importlib.metadata.entry_points(group="pytest11")):
        sys.exit("the plugin is not installed in this environment: pip install .")
    result = measure(arguments.runs)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    print("| pytest | median, s |\n| --- | ---: |")
    print(f"| plugin installed, unused | {result['with_s']:.3f} |")
    print(f"| -p no:kito | {result['without_s']:.3f} |")
    print(f"\nRatio {result['ratio']:.3f} over {result['runs']} pairs.")


if __name__ == "__main__":
    main()
