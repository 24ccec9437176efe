"""The probes of the landscape, taken while a model trains."""

import tensorflow as tf

from bnkit import probes
from bnkit.callbacks.probe import ProbeCallback
from bnkit.probes.activations import EDGES, QUANTILE_LEVELS
from bnkit.probes.objective import read
from bnkit.settings import DEFAULTS


class Landscape(ProbeCallback):
    """Loss and gradient along the gradient, at the weights of the step (paper Fig 4).

    Records: `{step, kind: "landscape", loss, gradient_norm, step_sizes, losses,
    gradient_distances, smoothness}`, see `bnkit.probes.landscape`.

    Args:
        step_sizes: Grid of `s` in `theta - s g`; by default the study's, 0.05 to 0.4.
        every, batch, write: See `ProbeCallback`.
    """

    kind = "landscape"
    STEP_SIZES = DEFAULTS["vgg11"]["step_sizes"]

    def __init__(self, step_sizes=STEP_SIZES, **kwargs):
        super().__init__(**kwargs)
        self.step_sizes = [float(s) for s in step_sizes]

    def measure(self, loss_fn, batch):
        return probes.landscape(self.model, loss_fn, batch, self.step_sizes)._asdict()

    def before_update(self, batch):
        self.record(step_sizes=self.step_sizes, **self.take(batch))


class RandomLandscape(ProbeCallback):
    """Loss and gradient along random directions, at the weights of the step.

    Records, one for each direction: those of `Landscape`, and `direction`, its number from 0. The
    directions follow from the seed and the step, and differ between steps.

    Args:
        step_sizes: As for `Landscape`.
        directions: Number of directions at each measurement.
        seed: An integer.
        every, batch, write: See `ProbeCallback`.
    """

    kind = "random_landscape"

    def __init__(self, step_sizes=Landscape.STEP_SIZES, *, directions=1, seed=0, **kwargs):
        super().__init__(**kwargs)
        if directions < 1:
            raise ValueError(f"`directions` must be >= 1. Received: directions={directions!r}")
        self.step_sizes = [float(s) for s in step_sizes]
        self.directions = directions
        self._seed = seed

    def measure(self, loss_fn, batch, seed):
        return probes.landscape(
            self.model, loss_fn, batch, self.step_sizes, "random", seed=seed
        )._asdict()

    def example(self):
        return (tf.constant([0, 0]),)

    def before_update(self, batch):
        for direction in range(self.directions):
            seed = tf.random.experimental.stateless_fold_in([self._seed, self._step], direction)
            measured = self.take(batch, seed)
            self.record(direction=direction, step_sizes=self.step_sizes, **measured)


class _AcrossUpdate(ProbeCallback):
    """A probe of the weights before and after the real update of a step.

    Raises:
        ValueError: at the start of `model.fit` with an optimizer that gathers the gradients of
            several steps, and does not move the weights at most of them.
    """

    def on_train_begin(self, logs=None):
        optimizer = self.model.optimizer if self.trainer is None else self.trainer.optimizer
        steps = getattr(optimizer, "gradient_accumulation_steps", None)
        if steps:
            raise ValueError(
                f"{type(self).__name__} needs an optimizer that updates at every step. "
                f"Received: gradient_accumulation_steps={steps}"
            )
        super().on_train_begin(logs)

    def before_update(self, batch):
        self._weights = read(self.model.trainable_variables)
        self._state = read(self.model.non_trainable_variables)

    def example(self):
        weights = read(self.model.trainable_variables)
        return weights, read(self.model.non_trainable_variables), weights

    def after_update(self, batch):
        names = [stage.name for stage in probes.stages(self.model)]
        next_weights = read(self.model.trainable_variables)
        measured = self.take(batch, self._weights, self._state, next_weights, *self.numbers())
        self.record(layers=names, **measured)
        self._weights = self._state = None

    def numbers(self):
        """Further arguments of `measure`."""
        return ()


class InternalCovariateShift(_AcrossUpdate):
    """Change of each layer's gradient by the real update of the layers before it (paper Fig 3).

    Records: `{step, kind: "ics", layers, l2, cosine, gradient_norm}`, see
    `bnkit.probes.internal_covariate_shift`.

    Args:
        every, batch, write: See `ProbeCallback`.
    """

    kind = "ics"

    def measure(self, loss_fn, batch, weights, state, next_weights):
        measured = probes.internal_covariate_shift(
            self.model, loss_fn, batch, next_weights, weights=weights, state=state
        )
        return _tensors(measured)


class Weights(_AcrossUpdate):
    """Size, direction and gradient of each layer's weights, and how far its update turns them.

    Records: `{step, kind: "weights", layers, weight_norm, effective_lr, angular_update,
    radial_share, gradient_norm}`, see `bnkit.probes.weights`.

    Args:
        every, batch, write: See `ProbeCallback`.
    """

    kind = "weights"

    def measure(self, loss_fn, batch, weights, state, next_weights, lr):
        measured = probes.weights(
            self.model, loss_fn, batch, next_weights, lr, weights=weights, state=state
        )
        return _tensors(measured)

    def example(self):
        return (*super().example(), *self.numbers())

    def numbers(self):
        return (tf.constant(self.learning_rate),)


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
    kinds = ("activations", "signal_propagation")

    def __init__(self, *, units=3, seed=0, **kwargs):
        super().__init__(**kwargs)
        self._units = units
        self._seed = seed

    def measure(self, loss_fn, batch):
        measured = probes.activations(self.model, batch, units=self._units, seed=self._seed)
        self._measured = measured  # the names are known once this has been traced
        return {
            "units": _tensors(measured),
            "signal": _tensors(measured.signal),
        }

    def before_update(self, batch):
        measured = self.take(batch)
        earlier = [record for record in self.records if record["kind"] == self.kind]
        now = measured["units"]
        self.record(
            layers=list(self._measured.layers),
            units=list(self._measured.units),
            quantile_levels=list(QUANTILE_LEVELS),
            edges=EDGES.tolist(),
            **now,
            **_differences("change", now, earlier[-1:]),
            **_differences("drift", now, earlier[:1] or [now]),
        )
        layers = list(self._measured.signal.layers)
        self.record(kind="signal_propagation", layers=layers, **measured["signal"])


class Curvature(ProbeCallback):
    """Sharpness and the top eigenvalue of the Hessian, at the weights of the step.

    Records: `{step, kind: "curvature", loss, gradient_norm, sharpness, top_eigenvalue, residual,
    products, edge_of_stability}`, the last one `lr * top_eigenvalue / 2`: gradient descent on a
    quadratic diverges beyond 1 (Cohen et al. 2021). See `bnkit.probes.curvature`.

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

    def measure(self, loss_fn, batch):
        return probes.curvature(
            self.model, loss_fn, batch, products=self._products, seed=(self._seed, 0)
        )._asdict()

    def before_update(self, batch):
        measured = self.take(batch)
        edge = self.learning_rate * measured["top_eigenvalue"] / 2
        self.record(**measured, edge_of_stability=edge)


class GradientNoise(ProbeCallback):
    """How the gradients of mini-batches scatter, at the weights of the step.

    The mini-batches are those of this and the next steps in bnkit's `Trainer`, of the size that it
    trains on: one batch of all samples has no noise. In `model.fit` they are the parts of `batch`.

    Records: `{step, kind: "gradient_noise", batches, gradient_norm, trace, top_eigenvalue, share,
    signal_to_noise}`, see `bnkit.probes.gradient_noise`.

    Args:
        batches: Number of mini-batches.
        every, batch, write: See `ProbeCallback`.
    """

    kind = "gradient_noise"

    def __init__(self, *, batches=8, **kwargs):
        super().__init__(**kwargs)
        self._batches = batches

    def step_batch(self):
        return self.trainer.batch(self._batches)

    def measure(self, loss_fn, batch):
        return probes.gradient_noise(self.model, loss_fn, batch, parts=self._batches)._asdict()

    def before_update(self, batch):
        self.record(batches=self._batches, **self.take(batch))


class BatchNormIdentity(ProbeCallback):
    """Both sides of the paper's Theorem 4.1 at every batch normalisation of the network.

    Records: `{step, kind: "batch_norm_identity", layers, left, right, relative_difference,
    gradient_ratio}`, see `bnkit.probes.batch_norm_identity`.

    Args:
        every, batch, write: See `ProbeCallback`.
    """

    kind = "batch_norm_identity"

    def measure(self, loss_fn, batch):
        measured = probes.batch_norm_identity(self.model, loss_fn, batch)
        self._layers = measured.layers
        return _tensors(measured)

    def before_update(self, batch):
        measured = self.take(batch)
        self.record(layers=list(self._layers), **measured)


def _tensors(measured):
    """The tensors of a named tuple, name -> tensor."""
    return {name: value for name, value in measured._asdict().items() if tf.is_tensor(value)}


def _differences(suffix, now, reference):
    """Mean and variance now minus those of a reference, a list of one; nan where it is empty."""
    differences = {}
    for name in ("mean", "variance"):
        before = reference[0][name] if reference else [float("nan")] * len(now[name])
        differences[f"{name}_{suffix}"] = [a - b for a, b in zip(now[name], before, strict=True)]
    return differences
