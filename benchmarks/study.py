"""How many runs at a time are best, against the number that `--jobs` chooses itself.

`python benchmarks/study.py` makes one small study with every candidate for `--jobs`, each in a new
folder, in turns, and without its report, and prints the time of each in that of the best. `auto` is
the number that the rule chooses; its time is that of this number.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from timing import print_table

from bnkit import study

RUNS = 4
# Of the default network: long enough that steps outweigh what happens once.
CHOICES = {"norm": ["none", "bn"], "seed": list(range(RUNS // 2)), "steps": 200, "probe_every": 50}
ROUNDS = 3
MOST = 1.10
PROGRAM = """
import pathlib, sys
from bnkit import study
outcomes = study.run(
    study.grid(**{choices!r}), pathlib.Path(sys.argv[1]), jobs=int(sys.argv[2]), progress=False
)
sys.exit(any(outcome.state != "done" for outcome in outcomes))
"""


def seconds_with(jobs):
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        program = PROGRAM.format(choices=CHOICES)
        subprocess.run([sys.executable, "-c", program, folder, str(jobs)], check=True)
        return time.perf_counter() - start


def main():
    grid = study.grid(**CHOICES)
    chosen = study.choose_jobs(grid, pathlib.Path("nothing is here"))
    candidates = range(1, min(os.cpu_count(), len(grid)) + 1)
    seconds = {jobs: [] for jobs in candidates}
    for _ in range(ROUNDS):
        for jobs in candidates:
            seconds[jobs].append(seconds_with(jobs))
    medians = {jobs: statistics.median(values) for jobs, values in seconds.items()}
    best = min(medians.values())
    print_table(
        [
            {
                "jobs": jobs,
                "s": medians[jobs],
                "of the best": medians[jobs] / best,
                "auto": f"chosen (at most {MOST})" if jobs == chosen else "",
            }
            for jobs in candidates
        ]
    )


if __name__ == "__main__":
    main()
