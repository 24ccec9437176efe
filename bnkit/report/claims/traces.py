"""What a claim reads of one run: how it trained, and its measurements by step."""

import dataclasses
import functools
import math

import numpy as np
import pandas as pd

from bnkit import store
from bnkit.report import frames
from bnkit.report.runs import Run
from bnkit.report.statistics import training
from bnkit.report.statistics.pairing import NotComparable
from bnkit.report.statistics.smoothness import largest_smoothness

# Captures are matched by a running mean of the log loss over this many steps. It is centred: a mean
# over earlier steps only would be too high for the arm whose loss falls faster.
WINDOW = 11


@dataclasses.dataclass(frozen=True)
class Trace:
    """One run, read for the claims; everything is computed on first use.

    *Performance* is what training raises: the training accuracy of a classification, and
    `-ln(training loss)` of a regression, whose loss falls by decades.
    """

    run: Run

    @property
    def norm(self):
        return self.run.settings.get("norm")

    @property
    def seed(self):
        return self.run.settings.get("seed")

    @property
    def lr(self):
        return self.run.settings.get("lr")

    @property
    def is_regression(self):
        return self.run.is_regression

    @property
    def diverged(self):
        return self.run.state == "diverged"

    @property
    def ended(self):
        """Whether the run is finished, however it ended."""
        return self.run.state in store.ENDED

    @property
    def early(self):
        """First step that is no longer the start of training."""
        steps = self.run.settings.get("steps")
        if self.is_regression and steps:
            return math.ceil(training.EARLY_REGRESSION * steps)
        # Runs of model.fit do not say beforehand how many steps they will make.
        if steps is None and self.ended and self.last_step is not None:
            steps = self.last_step + 1
        short = training.EARLY if steps is None else math.ceil(training.EARLY_SHARE * steps)
        return min(training.EARLY, short)

    @functools.cached_property
    def train(self):
        """The records of kind "train" by step."""
        table = frames.frame([self.run], "train").drop_duplicates("step", keep="last")
        return table.set_index("step").sort_index()

    @property
    def last_step(self):
        return self.train.index.max() if len(self.train) else None

    @functools.cached_property
    def untrained(self):
        """Performance of a network that has learned nothing: guessing, or the first loss."""
        if self.is_regression:
            losses = self.train["loss"]
            finite = losses[np.isfinite(losses) & (losses > 0)]
            if not len(finite):
                raise self._lacks("has no finite training loss")
            return -math.log(finite.iloc[0])
        classes = self.run.classes
        if not isinstance(classes, int) or classes < 2:
            raise NotComparable(
                f"the number of classes is not known for norm={self.norm}",
                brief="has no known number of classes",
                norm=self.norm,
            )
        return 1 / classes

    @functools.cached_property
    def performance(self):
        """Performance by step; a value that is not finite counts as untrained."""
        field = "loss" if self.is_regression else "accuracy"
        values = self.train[field]
        if not values.notna().any():
            raise self._lacks(f"has no training {field} on record")
        if self.is_regression:
            values = -np.log(values.clip(lower=np.finfo(float).tiny))
        return values.where(np.isfinite(values), self.untrained)

    def performance_until(self, steps):
        """`performance`; a run that diverged counts as untrained at the later `steps`."""
        own = self.performance
        later = steps[steps > own.index.max()]
        if not self.diverged or not len(later):
            return own
        return pd.concat([own, pd.Series(self.untrained, index=later, dtype=float)])

    @functools.cached_property
    def progress(self):
        """How far it trained: 0 for nothing learned; 1 for no mistakes; `ln(first/final loss)`.

        From the mean performance over the last tenth of the steps; 0 for a run that diverged.
        """
        gained = final(self.performance) - self.untrained
        if self.diverged:
            return 0.0
        return gained if self.is_regression else gained / (1 - self.untrained)

    @property
    def trained(self):
        least = -math.log(training.TRAINED_LOSS) if self.is_regression else training.TRAINED
        return self.progress > least

    @functools.cached_property
    def loss_range(self):
        """Largest minus smallest loss over the step sizes, by step; infinite where unbounded."""
        losses = self._landscape["loss_after_step"]
        finite = np.isfinite(losses)
        sizes = losses.where(finite).groupby(self._landscape["step"])
        unbounded = (~finite).groupby(self._landscape["step"]).any()
        return (sizes.max() - sizes.min()).mask(unbounded, np.inf)

    @functools.cached_property
    def gradient_change(self):
        """Largest distance of the gradient over the step sizes, by step."""
        distances = self._landscape["gradient_distance"].fillna(np.inf)
        return distances.groupby(self._landscape["step"]).max()

    @functools.cached_property
    def smoothness(self):
        """Effective smoothness by step; infinite where a gradient was NaN."""
        worst = largest_smoothness(self._landscape)
        return worst.set_index("step")["smoothness"].sort_index()

    @functools.cached_property
    def activations(self):
        """Change of every unit since the capture before: `layer, step, mean, variance, relative`.

        Absolute changes of mean and variance, and `relative`: that of the mean in deviations, plus
        that of the variance relative to it.
        """
        table = self._records("activations")
        table = table[table["step"] > table["step"].min()]
        variance = table["variance"].where(table["variance"] > 0)
        mean, of_variance = table["mean_change"].abs(), table["variance_change"].abs()
        relative = mean / np.sqrt(variance) + of_variance / variance
        changes = {"mean": mean, "variance": of_variance, "relative": relative}
        finite = {name: change.where(np.isfinite(change)) for name, change in changes.items()}
        return table[["layer", "step"]].assign(**finite)

    @functools.cached_property
    def ics(self):
        """Internal covariate shift: `step, layer, relative, cosine, log_loss`.

        `relative` is `||G - G'|| / ||G||`. The first layer is left out: its shift is 0 by
        definition. `log_loss` is the running mean of the logarithm of the training loss at the
        capture.
        """
        table = self._records("ics").drop_duplicates(["step", "layer"], keep="last")
        table = table[table.groupby("step").cumcount() > 0]
        norm = table["gradient_norm"]
        loss = self.train["loss"]
        log_loss = np.log(loss.where((loss > 0) & np.isfinite(loss)))
        log_loss = log_loss.rolling(WINDOW, center=True, min_periods=1).mean().dropna()
        at = log_loss.reindex(table["step"].unique(), method="ffill")
        table = table.assign(
            relative=table["l2"] / norm.where(norm > 0), log_loss=table["step"].map(at)
        )
        return table[table["log_loss"].notna()]

    @functools.cached_property
    def batch_norm_identity(self):
        """Relative differences of the two sides of Theorem 4.1, one per layer and capture."""
        table = self._records("batch_norm_identity")
        # 0/0 where no gradient arrives at all: both sides are equal.
        equal = (table["left"] == table["right"]) & np.isfinite(table["left"])
        return table["relative_difference"].mask(equal, 0.0)

    @functools.cached_property
    def _landscape(self):
        table = self._records("landscape")
        return table[table["step_size"].notna()]

    def _records(self, kind):
        if not self.run.records.get(kind):
            raise NotComparable(
                f'norm={self.norm} has no records of kind "{kind}"', brief=f"no {kind} records"
            )
        table = frames.frame([self.run], kind)
        if "statistics" in table and (table["statistics"].fillna("batch") != "batch").any():
            raise NotComparable(
                f'norm={self.norm} has records of kind "{kind}" with moving statistics, and the '
                "claims are about those of the batch",
                brief=f"has {kind} records with moving statistics",
                norm=self.norm,
            )
        return table

    def _lacks(self, what):
        """The error that says `what` of this run."""
        return NotComparable(f"norm={self.norm} {what}", brief=what, norm=self.norm)


def final(performance):
    """Mean over the last tenth of the steps, at least one."""
    return float(performance.iloc[-math.ceil(len(performance) / 10) :].mean())
