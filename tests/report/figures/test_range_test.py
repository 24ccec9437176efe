"""Loss over the rising learning rate of range tests."""

import json

import numpy as np
from artists import curve, titles

from bnkit.report import frames
from bnkit.report.figures import range_test
from bnkit.report.runs import read_runs


def test_the_loss_is_smoothed_and_drawn_against_the_rate_of_its_step(runs):
    # 40 steps up to lr 10: a mean over two of them, this one and the one before it.
    losses = [4.0, 2.0, *[2.0] * 20, 1.0, 1.0, *[2.0] * 14, 11.0, 99.0]
    path = runs(norm="bn", lr=10.0, steps=40, schedule="range", kinds=())
    records = [{"step": t, "kind": "train", "loss": loss} for t, loss in enumerate(losses)]
    (path / "metrics.jsonl").write_text("\n".join(map(json.dumps, records)))
    other = runs(norm="none", lr=0.1, steps=40, schedule="constant")
    train = frames.frame(read_runs(runs.root), "train")
    assert other.name in set(train["run"])
    figure = range_test.ENTRY.draw(train)
    (axes,) = figure.axes
    assert titles([axes]) == [] and axes.get_xlabel() == "learning rate"
    rates, drawn = curve(axes, "bn")
    np.testing.assert_allclose(rates[:3], [1e-3, 10 ** (-3 + 4 / 40), 10 ** (-3 + 8 / 40)])
    np.testing.assert_allclose(drawn[:4], [4, 3, 2, 2])
    np.testing.assert_allclose(drawn[22:25], [1.5, 1, 1.5])
    # 6.5 is still within three times the first loss, 55 is not.
    np.testing.assert_allclose(drawn[-2:], [2, 6.5])
    assert len(drawn) == 39
    assert set(range_test.ENTRY.data(train)["norm"]) == {"bn"}
    assert range_test.ENTRY.applies(read_runs(path))
    assert not range_test.ENTRY.applies(read_runs(other))
