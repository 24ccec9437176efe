"""Step sizes and directions in words."""

import pandas as pd

from bnkit.report.drawing import directions


def _landscape(sizes, run="r", count=1):
    rows = [(run, 0, size, float(number)) for number in range(count) for size in sizes]
    return pd.DataFrame(rows, columns=["run", "step", "step_size", "direction"])


def test_one_grid_is_told_with_its_ends_and_points():
    alike = pd.concat([_landscape([0.2, 0.05, 0.1]), _landscape([0.05, 0.1, 0.2], "s")])
    assert directions.step_sizes(alike) == [r"$s \in \{0.05, \ldots, 0.2\}$, 3 points."]
    assert directions.step_sizes(_landscape([1e-6])) == [r"$s \in \{10^{-6}\}$, 1 point."]


def test_grids_that_differ_are_told_one_by_one():
    other = pd.concat([_landscape([0.1]), _landscape([0.2], "s")])
    assert directions.step_sizes(other)[0] == "step sizes differ between runs:"
    assert len(directions.step_sizes(other)) == 3


def test_a_random_direction_is_defined_and_counted():
    landscape = _landscape([0.1], count=3)
    definition, count, _ = directions.RANDOM.footer(landscape)
    assert definition.startswith("$d$: Gaussian") and count == "3 at each step;"
    assert directions.GRADIENT.footer(landscape) == directions.step_sizes(landscape)
    assert directions.RANDOM.change == r"\|\nabla L(\theta - s\,d) - g\|_2"
