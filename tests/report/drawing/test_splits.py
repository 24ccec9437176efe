"""Training values beside those of the test split."""

import pandas as pd
from artists import legend, titles, words

from bnkit.report.drawing import splits, tables

LOSS = tables.Quantity("loss", "loss", "log")


def _frame(steps, **columns):
    rows = {"run": "r", "norm": "bn", "lr": 0.1, "seed": 0, "step": steps}
    return pd.DataFrame({**rows, "loss": [1.0 + step for step in steps], **columns})


def test_a_running_mean_is_over_training_steps_alone():
    train, evaluation = _frame([0, 1, 2]), _frame([1, 2])
    table = splits.data(train, evaluation, LOSS)
    means = table[table["series"] == "mean"].groupby("split")["value"].agg(list)
    # Geometric: of 1; 1 and 2; 1, 2 and 3.
    assert means["test"] == [2.0, 3.0]
    assert [round(one, 6) for one in means["training"]] == [1.0, 1.414214, 1.817121]


def test_the_test_split_is_left_out_where_there_is_none():
    train, evaluation = _frame([0, 1]), _frame([1])
    figure = splits.draw("Loss", train, evaluation, LOSS, "before the update")
    assert titles(figure.axes) == ["training, lr 0.1", "test, lr 0.1"]
    assert "and on the test split" in words(figure) and "Test: whole" in words(figure)
    alone = splits.draw("Loss", train, evaluation.iloc[:0], LOSS, "before the update")
    assert titles(alone.axes) == ["training, lr 0.1"] and "test" not in words(alone).lower()


def test_means_over_epochs_are_told_from_steps():
    figure = splits.draw("Loss", _frame([9, 19], mean_over="epoch"), _frame([]), LOSS, "")
    assert "mean over each epoch" in words(figure)
    assert legend(figure) == ["BN", "every epoch"]
    both = pd.concat([_frame([0], mean_over="step"), _frame([9], run="s", mean_over="epoch")])
    assert {"every step", "every epoch"} < set(legend(splits.draw("", both, _frame([]), LOSS, "")))


def test_on_how_many_samples_it_was_tested_is_said():
    said = {
        (None, float("nan")): "Test: whole test split.",
        (500, 500): "Test: 500 samples of the test split.",
        (500, 2000): "Test: 500 samples drawn from the test split, in the end all of it.",
    }
    for samples, sentence in said.items():
        evaluation = _frame([0, 1], test_samples=samples)
        figure = splits.draw("Loss", _frame([0, 1]), evaluation, LOSS, "before the update")
        assert sentence in " ".join(words(figure).split())
