"""Lines and areas in a panel."""

import math

import numpy as np
import pandas as pd
from artists import arrows, extremes, lines
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bnkit.report.drawing import canvas
from bnkit.report.drawing import lines as drawing


def _axes():
    return canvas.Canvas("", 1, 1, []).axes[0, 0]


def test_a_spike_of_one_step_in_ten_thousand_is_in_the_picture():
    values = np.ones(10_000)
    values[4321] = 100.0
    axes = _axes()
    drawing.line(axes, np.arange(10_000), values, color="black", linewidth=0.6)
    picture = FigureCanvasAgg(axes.figure)
    picture.draw()
    # Rows of pixels from the bottom, as matplotlib counts them; dark is low.
    darkness = np.asarray(picture.buffer_rgba())[::-1, :, 0]
    x, y = axes.transData.transform((4321, 99.0)).astype(int)
    assert darkness[y, x - 1 : x + 2].min() < 160


def test_an_area_without_an_upper_end_has_an_arrow_where_it_begins_to_have_none():
    high = [2.0, math.inf, math.inf, 3.0, math.inf]
    table = pd.DataFrame({"norm": "bn", "step": range(5), "low": 1.0, "high": high, "loss": 1.5})
    axes = _axes()
    mark = drawing.bands("loss")
    assert mark.columns == ("low", "high", "loss") and mark.handles(table) == []
    mark.draw(axes, table, "step", False)
    assert arrows(axes) == [1.0, 4.0]
    assert extremes(axes, 3) == (1.0, 3.0) and extremes(axes, 2)[1] > 1e100
    drawn = [list(one.get_ydata()) for one in lines(axes, "bn") if one.get_marker() != "^"]
    assert drawn == [[1.0] * 5, [2.0], [3.0], [1.5] * 5]
