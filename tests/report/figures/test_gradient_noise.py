"""The gradient noise figure."""

import math

import numpy as np
import pandas as pd
from artists import curve, message

from bnkit.report.figures import gradient_noise


def _records(trace, share, signal, norm="bn", seed=0, batches=8, **columns):
    return pd.DataFrame(
        {
            "run": f"{norm}{seed}",
            "norm": norm,
            "lr": 0.1,
            "seed": seed,
            **columns,
            "step": [0, 10],
            "batches": float(batches),
            "trace": trace,
            "share": share,
            "signal_to_noise": signal,
        }
    )


def test_each_quantity_has_its_panel_for_every_arm():
    records = pd.concat(
        [
            _records([100.0, 0.01], [0.25, 0.5], [0.1, 3.0]),
            _records([10.0, 1.0], [0.75, 1.0], [0.2, 0.3], norm="none"),
        ]
    )
    trace, share, signal = gradient_noise.ENTRY.draw(records).axes
    assert [axes.get_yscale() for axes in (trace, share, signal)] == ["log", "linear", "log"]
    np.testing.assert_allclose(curve(trace, "bn")[1], [100, 0.01], rtol=1e-12)
    np.testing.assert_allclose(curve(trace, "none")[1], [10, 1], rtol=1e-12)
    assert (curve(share, "bn")[1], curve(share, "none")[1]) == ([0.25, 0.5], [0.75, 1.0])
    np.testing.assert_allclose(curve(signal, "bn")[1], [0.1, 3], rtol=1e-12)
    # A share is one of 1, whatever was measured.
    assert share.get_ylim()[0] <= 0 < 1 <= share.get_ylim()[1] < 1.1


def test_full_batches_have_no_noise():
    records = _records([0.0, 0.0], math.nan, math.inf)
    trace, share, signal = gradient_noise.ENTRY.draw(records).axes
    assert curve(trace, "bn")[1] == [0, 0] and trace.get_yscale() == "linear"
    assert share.texts[0].get_text() == "no finite value" and not share.get_lines()
    assert signal.texts[0].get_text() == "infinite"
    (arrows,) = signal.get_lines()
    assert arrows.get_marker() == "^" and list(arrows.get_xdata()) == [0, 10]
    assert not len(signal.get_yticks())


def test_full_batches_beside_small_ones_stay_in_the_picture():
    records = pd.concat(
        [
            _records([50.0, 2.0], 0.5, 1.0, batch_size=10),
            _records([0.0, 0.0], math.nan, math.inf, seed=1, batch_size=1000),
        ]
    )
    small, _, _, full, _, _ = gradient_noise.ENTRY.draw(records).axes
    assert (curve(small, "bn")[1], curve(full, "bn")[1]) == ([50.0, 2.0], [0.0, 0.0])
    assert small.get_yscale() == full.get_yscale() == "symlog"
    assert small.get_ylim() == full.get_ylim() and full.get_ylim()[0] < 0


def test_the_number_of_mini_batches_is_told():
    records = pd.concat([_records(1.0, 0.5, 1.0), _records(1.0, 0.5, 1.0, seed=1, batches=16)])
    assert "8 or 16 mini-batches" in gradient_noise.ENTRY.draw(records).texts[-1].get_text()


def test_without_records_the_figure_says_so():
    none = _records(1.0, 0.5, 1.0).iloc[:0]
    assert message(gradient_noise.ENTRY.draw(none)).startswith("No finite value")
