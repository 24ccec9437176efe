"""Whether a run has trained at all, and which of its steps are its start and its end."""

import numpy

from bnkit.store import ENDED

LAST = 50
EARLY = 100
# An arm has trained once it is this part of the way from guessing to no mistakes.
TRAINED = 0.05
# A regression has trained once its loss is this part of its first one.
TRAINED_LOSS = 0.5
FLAT = "a flat landscape of an arm that does not train says nothing"


def never_trained(train):
    """Whether a run has ended, after `EARLY` steps or more, as if it had learned nothing.

    That is with the accuracy of guessing; of a regression with more than `TRAINED_LOSS` of its
    first loss, or none that is finite. False where neither is known: without the number of
    classes, or for losses that are means over epochs, of which the first is no first loss.

    Args:
      train: records of kind "train" of one run, as from `load_runs`.
    """
    if not len(train) or train["status"].iloc[0] not in ENDED or train["step"].max() + 1 < EARLY:
        return False
    last = train[train["step"] > train["step"].max() - LAST]
    if train["accuracy"].notna().any():
        guessing = 1 / train["classes"].iloc[0]
        return bool(last["accuracy"].mean() < guessing + TRAINED * (1 - guessing))
    if train["classes"].notna().any() or (train["mean_over"] != "step").any():
        return False
    finite = train.loc[numpy.isfinite(train["loss"]), "loss"]
    return not (len(finite) and last["loss"].mean() <= TRAINED_LOSS * finite.iloc[0])
