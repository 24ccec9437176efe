"""Numbers of layers, and the choice of them."""

import pandas as pd
import pytest

from bnkit.report.drawing import numbering


def _frame(*layers, condition="a", run="r", step=0):
    columns = {"condition": condition, "run": run, "step": step}
    return pd.DataFrame([{**columns, "layer": layer} for layer in layers])


def test_a_number_is_the_place_in_the_record_whatever_the_name():
    frame = pd.concat([_frame("b", "a", "c"), _frame("x", "x", "b", run="s"), _frame("a", step=5)])
    # Units of a layer share its number.
    assert numbering.with_numbers(frame)["number"].tolist() == [1, 2, 3, 1, 1, 2, 1]


@pytest.mark.parametrize(
    ("count", "weights", "activations"),
    [
        (1, {1}, {1}),
        (2, {2}, {1}),
        (3, {2, 3}, {2}),
        (9, {2, 5, 9}, {3, 8}),
        (10, {2, 5, 10}, {3, 9}),
        (12, {2, 5, 10}, {3, 11}),
        (16, {2, 5, 10}, {3, 11}),
        (17, {9, 17}, {9, 13}),
        (25, {9, 17}, {9, 13}),
        (33, {9, 17}, {9, 13}),
        (34, {11, 23}, {11, 23}),
        (56, {19, 37}, {19, 37}),
    ],
)
def test_the_layers_of_the_paper_are_chosen_where_there_are_such(count, weights, activations):
    assert numbering.of_weights(count) == weights
    assert numbering.of_activations(count) == activations


def test_every_condition_has_its_own_choice():
    deep, flat = (_frame(*map(str, range(count)), condition=str(count)) for count in (25, 4))
    chosen = numbering.chosen(pd.concat([deep, flat]), numbering.of_weights)
    numbers = chosen.groupby("condition")["number"].agg(list).to_dict()
    assert numbers == {"25": [9, 17], "4": [2, 3, 4]}
    assert len(numbering.chosen(deep.iloc[:0], numbering.of_weights)) == 0
