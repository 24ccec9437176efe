"""A layer of your own beside batch norm and no normalisation: one command, three seeds, one table.

    python examples/researcher.py

runs, with the layer of `pixel_norm.py`,

    python -m bnkit.main --norm=none,bn,pixel_norm:PixelNorm --seed=0,1,2 --lr=0.1 \\
        --study=researcher

which trains nine small VGGs on rendered digits, about fifteen minutes on two CPU cores, and draws
`reports/researcher/index.html`. Further flags are handed on, and override those above:

    python examples/researcher.py --dataset=cifar10 --steps=800 --jobs=2

What is compared: networks that differ in nothing but the layer. Runs of one seed start alike and
see the same batches. What it does not say: three seeds, one network and one learning rate decide
about these, and not about the layer in general. Elsewhere it may need another rate.
"""

import os
import pathlib
import subprocess
import sys

import bnkit

LAYER = "pixel_norm:PixelNorm"
COMMAND = (f"--norm=none,bn,{LAYER}", "--seed=0,1,2", "--lr=0.1", "--study=researcher")


def measure(*flags):
    """Trains and reports; returns the exit code of `python -m bnkit.main`."""
    # Every run has a process of its own, which has to find the file of the layer.
    here = str(pathlib.Path(__file__).resolve().parent)
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "bnkit.main", *COMMAND, *flags]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}).returncode


def scorecard(report):
    """The verdicts on the layer, as a DataFrame: a row for every general claim and baseline.

    `effect` is in the unit of its claim, `low` and `high` are its 95 % interval over the seeds, and
    `brief` says why there is a verdict, or none.
    """
    claims = bnkit.load_claims(report)
    columns = ["question", "baseline", "verdict", "effect", "low", "high", "unit", "brief"]
    return claims.loc[claims["arm"] == LAYER, columns]


if __name__ == "__main__":
    code = measure(*sys.argv[1:])
    if code:
        sys.exit(code)
    print(scorecard("reports/researcher").to_string(index=False, float_format="{:.3g}".format))
