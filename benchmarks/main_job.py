"""The main job, from start to report, against the least that it has to calculate.

`python benchmarks/main_job.py` runs `python -m bnkit.main --norm=bn --lr=0.5` in a new process and
in a new directory, with bare training steps of the same network before and after it. The least is
500 training steps, and for each of the 20 captures 9 gradients of the landscape, 3 steps of the
covariate shift and 1 gradient of the activations, each of which a step does too: 760 steps in all.
Prints the parts of the run, the share of checkpoints and records, and the largest memory.
"""

import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from timing import print_table
from train_step import BATCH_SIZE, STEPS, bnkit_steps, images

ARGUMENTS = ["--norm=bn", "--lr=0.5"]
LEAST_STEPS = 760
ROUNDS = 5
# Of the whole job: parts of a run, by the names in its `status.json` -> the most they may take.
TARGETS = {"evaluate": 0.06, "checkpoint and records": 0.02}
MOST_TIMES = 1.4
MOST_BYTES = 1e9


def job():
    """Seconds of the whole job, and those of its parts."""
    with tempfile.TemporaryDirectory() as folder:
        folders = [f"--{name}_dir={pathlib.Path(folder, name)}" for name in ("runs", "reports")]
        start = time.perf_counter()
        command = [sys.executable, "-m", "bnkit.main", *ARGUMENTS, *folders]
        subprocess.run(command, check=True, capture_output=True)
        total = time.perf_counter() - start
        (status,) = pathlib.Path(folder).glob("runs/*/*/status.json")
        parts = json.loads(status.read_text())["seconds"]
    parts["start and report"] = total - parts.pop("total")
    parts["checkpoint and records"] = parts.pop("checkpoint") + parts.pop("records")
    return total, parts


def seconds_of_a_step(steps):
    start = time.perf_counter()
    steps()
    return (time.perf_counter() - start) / STEPS


def main():
    steps = bnkit_steps("bn", images(STEPS * BATCH_SIZE))
    steps()
    bare = [seconds_of_a_step(steps) for _ in range(ROUNDS)]
    total, parts = job()
    bare += [seconds_of_a_step(steps) for _ in range(ROUNDS)]
    step = float(np.median(bare))
    print_table(
        [
            {
                "part": part,
                "s": seconds,
                "bare steps": seconds / step,
                "of the job": seconds / total,
                "at most": TARGETS.get(part, ""),
            }
            for part, seconds in sorted(parts.items(), key=lambda item: -item[1])
        ]
    )
    print(
        f"a bare step: {1000 * step:.0f} ms ({1000 * min(bare):.0f} to {1000 * max(bare):.0f}), "
        f"the job: {total:.0f} s, {total / step / LEAST_STEPS:.2f} times {LEAST_STEPS} of them "
        f"(at most {MOST_TIMES})"
    )
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"largest memory: {memory / 1e9:.2f} GB (at most {MOST_BYTES / 1e9:.0f})")


if __name__ == "__main__":
    main()
