"""Whether a run has trained at all, and which of its steps are its start and its end."""

import numpy as np

from bnkit.store import ENDED

# Steps at the end whose mean is the final accuracy or loss.
LAST = 50
# Steps at the start that are looked at apart, and of a short run this share of its steps.
EARLY = 100
EARLY_SHARE = 0.5
# Of a regression they are this share of all steps: 100 of the 10,000 in the study.
EARLY_REGRESSION = 0.01
# An arm has trained once it has come this share of the way from guessing to no mistakes.
TRAINED = 0.05
# A regression has trained once its loss has fallen to this share of its first one.
TRAINED_LOSS = 0.5
FLAT = "a flat landscape of an arm that does not train says nothing"


def never_trained(train):
    """Whether a run has ended, after `EARLY` steps or more, as if it had learned nothing.

    A classification has learned nothing if its accuracy is that of guessing; a regression if its
    loss is above `TRAINED_LOSS` times its first one, or if no loss was finite. False where this is
    not known: without the number of classes, or if the losses are means over epochs, the first of
    which is not the first loss.

    Args:
        train: Records of kind "train" of one run, as from `load_runs`.
    """
    if not len(train) or train["status"].iloc[0] not in ENDED or train["step"].max() + 1 < EARLY:
        return False
    last = train[train["step"] > train["step"].max() - LAST]
    if train["accuracy"].notna().any():
        guessing = 1 / train["classes"].iloc[0]
        return bool(last["accuracy"].mean() < guessing + TRAINED * (1 - guessing))
    if train["classes"].notna().any() or (train["mean_over"] != "step").any():
        return False
    finite = train.loc[np.isfinite(train["loss"]), "loss"]
    return not (len(finite) and last["loss"].mean() <= TRAINED_LOSS * finite.iloc[0])
