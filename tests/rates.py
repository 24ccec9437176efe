"""Runs at several learning rates, as tables."""

import math

import numpy as np
import pandas as pd

RATES = (0.1, 0.2, 0.4)


def train(lr, loss=1.0, accuracy=math.nan, norm="bn", seed=0, steps=4, status="done", **settings):
    """A run whose `loss` and `accuracy` are one number, or one for each of its steps."""
    classes = settings.pop("classes", 10.0)
    names = {"norm": norm, "lr": lr, "seed": seed, **settings}
    loss, accuracy = (np.broadcast_to(one, steps).astype(float) for one in (loss, accuracy))
    return pd.DataFrame(
        {
            "study": "main",
            "run": " ".join(map(str, names.values())),
            "status": status,
            **names,
            "step": np.arange(steps),
            "loss": loss,
            "accuracy": accuracy,
            "classes": classes,
        }
    )


def landscape(train, smoothness):
    """Probes of a run at steps 0, 50, 100 and 150."""
    first = train.drop(columns=["step", "loss", "accuracy", "classes"]).iloc[[0] * 4]
    return first.assign(step=[0, 50, 100, 150], smoothness=smoothness, gradient_distance=1.0)
