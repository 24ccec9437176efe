"""Curvature of the loss, measured while a model trains."""

import math

from bnkit import probes
from bnkit.callbacks.probe import ProbeCallback


class Curvature(ProbeCallback):
    """Sharpness and the top eigenvalue of the Hessian, at the weights of the step.

    Records: `{step, kind: "curvature", loss, gradient_norm, sharpness, top_eigenvalue, residual,
    products, edge_of_stability}`, the last one `lr * top_eigenvalue / 2`: gradient descent on a
    quadratic diverges beyond 1 (Cohen et al. 2021). It is NaN for a model that updates
    by other optimizers than that of `compile`. See `bnkit.probes.curvature`.

    Args:
        products: Most Hessian-vector products for the eigenvalue.
        seed: Draws where the search for the eigenvector starts.
        every, batch, write: See `ProbeCallback`.
    """

    kind = "curvature"

    def __init__(self, *, products=20, seed=0, **kwargs):
        super().__init__(**kwargs)
        self._products = products
        self._seed = seed

    @classmethod
    def from_settings(cls, settings, **options):
        return cls(seed=settings.seed, **options)

    def measure(self, loss_fn, batch):
        return probes.curvature(
            self.measured_model,
            loss_fn,
            batch,
            products=self._products,
            seed=(self._seed, 0),
            statistics=self.statistics,
        )._asdict()

    def before_update(self, batch):
        measured = self.take(batch)
        edge = self.learning_rate * measured["top_eigenvalue"] / 2
        self.record(**measured, edge_of_stability=edge)

    def after_update(self, batch):
        # Whether it was the model's optimizer that made the update is known only now.
        for record in self._measured if self._steps.by_batches else ():
            record["edge_of_stability"] = math.nan
