"""What `--estimate` and the cost model say, against the runs themselves.

`python benchmarks/estimate.py` estimates a run of each network below as `--estimate` does, from
short runs, makes it, and prints the ratio of the times (0.8 to 1.25 is aimed at). The cost model
says how the arithmetic grows: for each probe, alone in a run, the time of a capture in training
steps of the same run, and what `bnkit.study.cost` counts. Everything runs in processes of their
own, in folders that are removed. `--quick` makes the first two networks only.
"""

import pathlib
import sys
import tempfile

from timing import print_table

from bnkit import study
from bnkit.kinds import PROBES
from bnkit.settings import Settings
from bnkit.store import read_status
from bnkit.study import cost, timing

STEPS = {"steps": 60, "probe_every": 20, "eval_every": 30}
NETWORKS = (
    {"width": 0.125},
    {"model": "mlp"},
    {"width": 0.25},
    {"width": 0.5},
    {"width": 1.0},
    {"model": "resnet20"},
    {"model": "vit_tiny", "norm": "layer"},
    {"model": "dln", "steps": 600, "probe_every": 200, "eval_every": 300},
)
PROBE_STEPS = {"width": 0.125, "steps": 61, "probe_every": 15, "eval_every": 60}
# Of such a run, after the first, which is traced.
CAPTURES = 4


def whole_runs(networks):
    """A row for each network: the time estimated from short runs, and that of the run."""
    rows = []
    for network in networks:
        settings = Settings(**{**STEPS, **network})
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (found,) = timing.estimate({settings: "to do"}, folder, progress=False).values()
            (outcome,) = study.run([settings], folder, progress=False)
        rows.append(
            {
                "network": " ".join(f"{name}={value}" for name, value in network.items()),
                "parameters": found.parameters,
                "GFLOP/step": found.step_flop / 1e9,
                "GFLOP/capture": found.capture_flop / 1e9,
                "estimate s": found.seconds,
                "run s": outcome.seconds,
                "ratio": found.seconds / outcome.seconds,
                "probes %": 100 * found.probes,
                "GB": found.peak_bytes / 1e9,
            }
        )
    return rows


def single_probes():
    """A row for each probe: a capture in training steps, measured and counted."""
    rows = []
    for probe in PROBES:
        settings = Settings(**PROBE_STEPS, probes=(probe,))
        with tempfile.TemporaryDirectory() as folder:
            study.run([settings], folder, progress=False)
            seconds = read_status(pathlib.Path(folder) / settings.run_id)["seconds"]
        # The first step, and the first capture, count as compiling.
        steps = seconds["train"] / (settings.steps - 1)
        captures = sum(seconds[name] for name in seconds if name == probe) / CAPTURES
        counted = cost.GRADIENTS[probe](settings)
        rows.append({"probe": probe, "steps": captures / steps, "counted": counted})
    return rows


def main():
    networks = NETWORKS[:2] if "--quick" in sys.argv else NETWORKS
    print_table(whole_runs(networks))
    print()
    print_table(single_probes())


if __name__ == "__main__":
    main()
