"""The gradient noise figure."""

import math

import numpy
import pandas

from bnkit.report.drawing import style
from bnkit.report.figures import noise


def _records(trace, share, signal, norm="bn", seed=0, batches=8, **columns):
    return pandas.DataFrame(
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


def _curve(axes, norm):
    (line,) = [
        one
        for one in axes.get_lines()
        if one.get_color() == style.colour(norm) and one.get_marker() == "o"
    ]
    return list(line.get_ydata())


def test_each_quantity_has_its_panel_for_every_arm():
    records = pandas.concat(
        [
            _records([100.0, 0.01], [0.25, 0.5], [0.1, 3.0]),
            _records([10.0, 1.0], [0.75, 1.0], [0.2, 0.3], norm="none"),
        ]
    )
    trace, share, signal = noise.gradient_noise(records).axes
    assert [axes.get_yscale() for axes in (trace, share, signal)] == ["log", "linear", "log"]
    numpy.testing.assert_allclose(_curve(trace, "bn"), [100, 0.01], rtol=1e-12)
    numpy.testing.assert_allclose(_curve(trace, "none"), [10, 1], rtol=1e-12)
    assert (_curve(share, "bn"), _curve(share, "none")) == ([0.25, 0.5], [0.75, 1.0])
    numpy.testing.assert_allclose(_curve(signal, "bn"), [0.1, 3], rtol=1e-12)
    # A share is one of 1, whatever was measured.
    assert share.get_ylim()[0] <= 0 < 1 <= share.get_ylim()[1] < 1.1


def test_full_batches_have_no_noise():
    records = _records([0.0, 0.0], math.nan, math.inf)
    trace, share, signal = noise.gradient_noise(records).axes
    assert _curve(trace, "bn") == [0, 0] and trace.get_yscale() == "linear"
    assert share.texts[0].get_text() == "no finite value" and not share.get_lines()
    assert signal.texts[0].get_text() == "infinite"
    (arrows,) = signal.get_lines()
    assert arrows.get_marker() == "^" and list(arrows.get_xdata()) == [0, 10]
    assert not len(signal.get_yticks())


def test_full_batches_beside_small_ones_stay_in_the_picture():
    records = pandas.concat(
        [
            _records([50.0, 2.0], 0.5, 1.0, batch_size=10),
            _records([0.0, 0.0], math.nan, math.inf, seed=1, batch_size=1000),
        ]
    )
    small, _, _, full, _, _ = noise.gradient_noise(records).axes
    assert (_curve(small, "bn"), _curve(full, "bn")) == ([50.0, 2.0], [0.0, 0.0])
    assert small.get_yscale() == full.get_yscale() == "symlog"
    assert small.get_ylim() == full.get_ylim() and full.get_ylim()[0] < 0


def test_the_number_of_mini_batches_is_told():
    records = pandas.concat([_records(1.0, 0.5, 1.0), _records(1.0, 0.5, 1.0, seed=1, batches=16)])
    assert "8 or 16 mini-batches" in noise.gradient_noise(records).texts[-1].get_text()


def test_without_records_the_figure_says_so():
    none = _records(1.0, 0.5, 1.0).iloc[:0]
    assert noise.gradient_noise(none).axes[0].texts[0].get_text().startswith("No finite value")
