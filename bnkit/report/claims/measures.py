"""What a claim compares: one number from the runs of one seed.

A measure takes a `Trace` for every arm of the claim, in the claim's order, and returns a number, or
raises `NotComparable` with the reason. The measures of `largest_lr` take a list of traces per arm.
"""

import math

import numpy

from bnkit.report.claims.traces import NotComparable, final
from bnkit.report.statistics import training

# A ratio beyond a million counts as a million: one infinity must not decide the mean over seeds.
LARGEST = math.log(1e6)
# Captures are matched where their losses are within this factor, and at least this many of them.
MATCHED_WITHIN = 1.25
LEAST_MATCHES = 3
FLAT = training.FLAT


def training_gain(one, other):
    """Mean difference of performance over all common steps: between the areas under the curves."""
    if not (one.trained or other.trained):
        raise NotComparable(f"neither norm={one.norm} nor norm={other.norm} trained")
    first, second = _together(one, other)
    return float((first - second).mean())


def final_difference(one, other):
    """Difference of final performance; `other` has to have trained."""
    _require(other, "to train as well as it says nothing")
    return final_gain(one, other)


def final_gain(one, other):
    """Difference of final performance, whether or not `other` has trained."""
    first, second = _together(one, other)
    return final(first) - final(second)


def progress_lost(one, other):
    """Share of the progress of `other` that `one` does not make; `other` has to have trained."""
    _require(other, "there was nothing to stop")
    if not (one.ended or one.trained):
        raise NotComparable(f"norm={one.norm} had not ended")
    return 1 - one.progress / other.progress


def largest_lr(ones, others):
    """log2 ratio of the largest learning rates, of those measured for both arms, that train.

    An arm that trains at none counts with the smallest of them: towards no difference.
    """
    first, second = _trained_by_lr(ones), _trained_by_lr(others)
    measured = sorted(set(first) & set(second))
    if len(measured) < 2:
        raise NotComparable("fewer than two learning rates were measured for both arms")
    if not any(arm[lr] for arm in (first, second) for lr in measured):
        raise NotComparable("neither arm trained at any measured learning rate")
    one, other = (
        max([lr for lr in measured if arm[lr]], default=measured[0]) for arm in (first, second)
    )
    return math.log2(one / other)


def loss_range(one, other):
    """Median log ratio of the ranges of the loss along the gradient, after the start."""
    return _after_start(one, other, "loss_range")


def gradient_change(one, other):
    """Median log ratio of the largest changes of the gradient, after the start."""
    return _after_start(one, other, "gradient_change")


def peak_smoothness(one, other):
    """Log ratio of the largest effective smoothness after the start."""
    _require_both(one, other)
    first, second = _captures(one.smoothness, other.smoothness, after=max(one.early, other.early))
    return _one_ratio(first.max(), second.max())


def first_smoothness(one, other):
    """Log ratio of the effective smoothness at step 0."""
    first, second = _captures(one.smoothness, other.smoothness, until=1)
    return _one_ratio(first.max(), second.max())


def early_smoothness(one, other):
    """Log ratio of the largest effective smoothness of the start, but for step 0."""
    first, second = _captures(one.smoothness, other.smoothness, 1, min(one.early, other.early))
    return _one_ratio(first.max(), second.max())


def mean_change(one, other):
    """Median log ratio, over the captures, of the units' median change of the mean."""
    return _change(one, other, "mean")


def variance_change(one, other):
    """The same of the change of the variance."""
    return _change(one, other, "variance")


def relative_change(one, other):
    """The same of both changes, relative to deviation and variance."""
    return _change(one, other, "relative")


def _change(one, other, quantity):
    _require_both(one, other, "inputs hardly move where nothing is learned")
    first, second = one.activations, other.activations
    layers = set(first["layer"]) & set(second["layer"])
    series = [
        table[table["layer"].isin(layers)].groupby("step")[quantity].median().dropna()
        for table in (first, second)
    ]
    return _median_ratio(*_captures(*series))


def matched_shift(one, other):
    """Mean log ratio of the relative covariate shift at captures with matching loss."""
    first, second = _matched(one, other, "relative")
    ratios = log_ratio(first, second)
    return _mean(ratios[~numpy.isnan(ratios)])


def matched_cosine(one, other):
    """Mean of what the cosine of `one` is lower by than that of `other`, at matching loss."""
    first, second = _matched(one, other, "cosine")
    differences = second - first
    return _mean(differences[~numpy.isnan(differences)])


def largest_identity_error(one):
    """Largest relative difference of the two sides of Theorem 4.1; all have to be finite."""
    precision = one.run.settings.get("precision", "float32")
    if precision != "float32":
        raise NotComparable(f"the tolerance is that of float32, and not of {precision}")
    values = one.identity
    if not numpy.isfinite(values).all():
        raise NotComparable(f"relative differences of norm={one.norm} are not finite")
    return float(values.max())


def median_identity_error(one):
    """Median relative difference of the two sides of Theorem 4.1."""
    return float(one.identity.median())


def log_ratio(above, below):
    """`ln(above / below)` of values >= 0, within ±`LARGEST`.

    0 where both are 0; nan where both are infinite or one is not a number.
    """
    above, below = numpy.asarray(above, dtype=float), numpy.asarray(below, dtype=float)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        ratio = numpy.log(above) - numpy.log(below)
    ratio = numpy.where((above == 0) & (below == 0), 0.0, ratio)
    return numpy.clip(ratio, -LARGEST, LARGEST)


def _together(one, other):
    """Performance of both on their common steps."""
    first = one.performance_until(other.performance.index)
    second = other.performance_until(one.performance.index)
    steps = first.index.intersection(second.index)
    if not len(steps):
        raise NotComparable("there is no common training step")
    return first.loc[steps], second.loc[steps]


def _require(trace, consequence):
    if trace.trained:
        return
    failure = "diverged" if trace.diverged else "did not train"
    raise NotComparable(f"norm={trace.norm} {failure}, and {consequence}")


def _require_both(one, other, consequence=FLAT):
    for trace in (one, other):
        _require(trace, consequence)


def _trained_by_lr(traces):
    """Whether each learning rate trains; nothing of a run that may still do so."""
    return {trace.lr: trace.trained for trace in traces if trace.ended or trace.trained}


def _after_start(one, other, name):
    _require_both(one, other)
    start = max(one.early, other.early)
    return _median_ratio(*_captures(getattr(one, name), getattr(other, name), after=start))


def _captures(first, second, after=0, until=math.inf):
    """Two series at their common captures, from step `after` to before step `until`."""
    steps = first.index.intersection(second.index)
    steps = steps[(steps >= after) & (steps < until)]
    if not len(steps):
        where = f" from step {after} on" if after else ""
        where += f" before step {until}" if math.isfinite(until) else ""
        raise NotComparable(f"there is no common capture{where}")
    return first.loc[steps], second.loc[steps]


def _median_ratio(above, below):
    ratios = log_ratio(above, below)
    ratios = ratios[~numpy.isnan(ratios)]
    if not len(ratios):
        raise NotComparable("no capture has a finite value in either arm")
    return float(numpy.median(ratios))


def _one_ratio(above, below):
    ratio = float(log_ratio(above, below))
    if math.isnan(ratio):
        raise NotComparable("the ratio is not a number: neither value is finite")
    return ratio


def _matched(one, other, quantity):
    """Medians over the layers, at every capture of `one` and the capture of `other` nearest in
    loss.

    The loss is the running mean of the training loss; captures whose nearest one is further away
    than a factor of `MATCHED_WITHIN` are left out.
    """
    _require_both(one, other)
    first, second = one.shift, other.shift
    layers = set(first["layer"]) & set(second["layer"])
    first, second = (
        table[table["layer"].isin(layers)].groupby("step")[["log_loss", quantity]].median()
        for table in (first, second)
    )
    distance = numpy.abs(
        first["log_loss"].to_numpy()[:, None] - second["log_loss"].to_numpy()[None, :]
    )
    if not distance.size:
        raise NotComparable("the arms have no layer in common whose inputs can shift")
    nearest = distance.argmin(axis=1)
    close = distance.min(axis=1) <= math.log(MATCHED_WITHIN)
    if close.sum() < LEAST_MATCHES:
        raise NotComparable(
            f"fewer than {LEAST_MATCHES} captures have a training loss that the other arm also has"
        )
    values = second[quantity].to_numpy()[nearest]
    return first[quantity].to_numpy()[close], values[close]


def _mean(values):
    if not len(values):
        raise NotComparable("no capture has a finite value in both arms")
    return float(values.mean())
