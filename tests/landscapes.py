"""Records of the landscape with numbers to compute with by hand."""

import pandas as pd


def landscape(rows, norm="bn", run="r", seed=0, lr=0.1):
    """Rows of (step, loss, losses, distances, smoothness) on the grid 0.1, 0.2."""
    return pd.DataFrame(
        [
            {
                "run": run,
                "norm": norm,
                "lr": lr,
                "seed": seed,
                "step": step,
                "step_size": size,
                "loss": loss,
                "loss_after_step": after,
                "gradient_distance": distance,
                "smoothness": smoothness,
            }
            for step, loss, losses, distances, smoothness in rows
            for size, after, distance in zip((0.1, 0.2), losses, distances, strict=True)
        ]
    )


HAND = landscape([(0, 2.0, (1.0, 5.0), (3.0, 9.0), 30.0), (10, 1.0, (0.5, 2.0), (1.0, 4.0), 20.0)])


def directions(*pairs):
    """Rows for several directions of each step: `HAND` with `losses` and `smoothness` changed."""
    return pd.concat(
        [
            HAND.assign(direction=float(number), smoothness=smoothness)
            .assign(loss_after_step=HAND["loss_after_step"] * factor)
            .assign(gradient_distance=HAND["gradient_distance"] * factor)
            for number, (factor, smoothness) in enumerate(pairs)
        ]
    )
