"""Layer norm, RMS norm and batch norm in a small vision transformer, before and after its branches.

    python examples/transformer.py

runs two commands, which differ in `--norm_place`:

    python -m bnkit.main --model=vit_tiny --norm=layer,rms,bn --norm_place=pre  --study=transformer
    python -m bnkit.main --model=vit_tiny --norm=layer,rms,bn --norm_place=post --study=transformer

"pre" normalises what attention and perceptron get, and the residual sum only once, at its end;
"post" normalises the sum after every branch. Flags after the name of the file are handed on to
both.

What to look at in `reports/transformer/index.html`:

* Accuracy: do all train at this rate? A network that does not train has a tiny gradient and hence a
  flat landscape, which says nothing.
* Loss along the gradient: the same step sizes in every arm. Compare the arms within a panel; pre
  and post are two networks, each with a panel of its own.
* The gradient's norm over depth, with `--probes=landscape,weights`, at step 0: whether the first
  layers get as much of it as the last ones.
* Covariate shift: query, key and value stand side by side, and do not move one another.

What it does not say: which normalisation is best for transformers. People train them with Adam, a
warm-up and far more data; here all arms have plain SGD and one rate. Try `--optimizer=adam
--lr=0.001 --warmup=50`. Batch norm takes its statistics over batch *and* tokens; layer norm and RMS
norm over the channels of each token alone, so that they do not depend on the batch.
"""

import subprocess
import sys

import pandas as pd

import bnkit

COMMAND = ("--model=vit_tiny", "--norm=layer,rms,bn", "--study=transformer")
PLACES = ("pre", "post")


def measure(place, *flags):
    """Trains with the normalisations at one place; the exit code of `python -m bnkit.main`."""
    command = [sys.executable, "-m", "bnkit.main", *COMMAND, f"--norm_place={place}", *flags]
    return subprocess.run(command).returncode


def table(study):
    """A row for every normalisation and place, as a DataFrame, with means over the seeds.

    `test_accuracy` is that of the last evaluation. `spread` is the largest loss along the gradient,
    over the step sizes, divided by the smallest: the median over the steps that were measured.
    """
    arm = ["norm_place", "norm"]
    run = [*arm, "seed"]
    tests = bnkit.load_runs(study, "eval").sort_values("step")
    losses = bnkit.load_runs(study, "landscape").groupby([*run, "step"])["loss_after_step"]
    measured = {
        "test_accuracy": tests.groupby(run)["accuracy"].last(),
        "spread": (losses.max() / losses.min()).groupby(run).median(),
    }
    return pd.DataFrame(measured).groupby(arm).mean().reset_index()


if __name__ == "__main__":
    for place in PLACES:
        code = measure(place, *sys.argv[1:])
        if code:
            sys.exit(code)
    print(table("runs/transformer").to_string(index=False, float_format="{:.3f}".format))
