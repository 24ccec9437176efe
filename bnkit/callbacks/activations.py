"""Inputs of the non-linearities, measured while a model trains."""

from bnkit import probes
from bnkit.callbacks.probe import ProbeCallback, tensors
from bnkit.probes.activations import EDGES, QUANTILE_LEVELS


class Activations(ProbeCallback):
    """The inputs of the non-linearities: a few units in detail, all of them for signal propagation.

    Records (paper Figs 1c, 2, 6, 8, 9): `{step, kind: "activations", layers, units, mean,
    variance, quantiles, quantile_levels, histogram, edges, mean_change, variance_change,
    mean_drift, variance_drift}`, changes since the last measurement and drift since the first;
    and `{step, kind: "signal_propagation", layers, squared_mean, variance, rank,
    effective_rank}`. See `bnkit.probes.activations`.

    Args:
        units: Units of every layer that are looked at, the same all the time.
        seed: Chooses them.
        every, batch, write: See `ProbeCallback`.
    """

    kind = "activations"

    def __init__(self, *, units=3, seed=0, **kwargs):
        super().__init__(**kwargs)
        self._units = units
        self._seed = seed

    def measure(self, loss_fn, batch):
        measured = probes.activations(
            self.measured_model,
            batch,
            units=self._units,
            seed=self._seed,
            statistics=self.statistics,
        )
        self._traced = measured  # the names are known once this has been traced
        return {
            "units": tensors(measured),
            "signal": tensors(measured.signal),
        }

    def before_update(self, batch):
        measured = self.take(batch)
        earlier = [record for record in self.records if record["kind"] == self.kind]
        now = measured["units"]
        self.record(
            layers=list(self._traced.layers),
            units=list(self._traced.units),
            quantile_levels=list(QUANTILE_LEVELS),
            edges=EDGES.tolist(),
            **now,
            **_differences("change", now, earlier[-1:]),
            **_differences("drift", now, earlier[:1] or [now]),
        )
        layers = list(self._traced.signal.layers)
        self.record(kind="signal_propagation", layers=layers, **measured["signal"])


def _differences(suffix, now, reference):
    """Mean and variance now minus those of a reference, a list of one; nan where it is empty."""
    differences = {}
    for name in ("mean", "variance"):
        before = reference[0][name] if reference else [float("nan")] * len(now[name])
        differences[f"{name}_{suffix}"] = [a - b for a, b in zip(now[name], before, strict=True)]
    return differences
