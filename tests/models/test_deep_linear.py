"""The deep linear network: its layers, and loss, landscape and covariate shift by formula."""

import itertools

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from linear import batch_of, dln_trainer, full_batches, loss_and_gradients, values_of
from reference import error

from bnkit import callbacks, models
from bnkit.losses import HalfSquaredError
from bnkit.probes import internal_covariate_shift, landscape
from bnkit.probes.objective import Objective


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_loss_and_all_gradients_at_initialisation(seed):
    """The study's network. 25 products in float32: 1e-5 of the largest gradient entry."""
    x, y = batch_of(1000, 10, seed)
    model = models.deep_linear("none", seed=seed)
    weights = values_of(model)
    assert [w.shape for w in weights] == [(10, 10)] * 25
    expected, gradients = loss_and_gradients(weights, x, y)
    objective = Objective(model, HalfSquaredError(), (x, y))
    loss, actual = objective.loss_and_gradient(objective.weights)
    assert error(loss, expected) < 1e-5
    for got, want in zip(actual, gradients, strict=True):
        assert error(got, want) < 1e-5
    # Where Fig 5b starts: half the sum of 1000 x 10 squares of sums of ten products.
    assert 3.5e4 < expected < 7e4


@pytest.mark.parametrize("norm_last", [False, True])
def test_loss_and_all_gradients_with_batch_normalisation(norm_last):
    """Against central differences of the loss in float64; the deviation is that of float32."""
    x, y = batch_of(20, 3)
    model = models.deep_linear("bn", 4, 3, norm_last=norm_last, seed=0)
    rng = np.random.default_rng(0)
    norms = [layer for layer in model.layers if layer.name.startswith("norm")]
    assert len(norms) == 3 + norm_last
    for layer in norms:
        layer.gamma.assign(rng.uniform(0.5, 1.5, 3))
        layer.beta.assign(rng.normal(size=3))
    epsilon = norms[0].epsilon
    shapes = [v.shape for v in model.trainable_variables]
    paths = [v.path for v in model.trainable_variables]
    flat = np.concatenate([v.ravel() for v in values_of(model)]).astype(np.float64)
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]

    def unpack(entries):
        parts = np.split(entries, ends)
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def loss_of(entries):
        values = dict(zip(paths, unpack(entries), strict=True))
        out = x.astype(np.float64)
        for i in range(1, 5):
            out = out @ values[f"dense{i}/kernel"]
            if i < 4 or norm_last:
                gamma, beta = values[f"norm{i}/gamma"], values[f"norm{i}/beta"]
                out = reference.batch_norm(out, gamma, beta, epsilon).outputs
        return 0.5 * ((out - y) ** 2).sum()

    objective = Objective(model, HalfSquaredError(), (x, y))
    loss, actual = objective.loss_and_gradient(objective.weights)
    assert error(loss, loss_of(flat)) < 1e-5
    expected = np.concatenate(
        [g.ravel() for g in unpack(reference.central_differences(loss_of, flat))]
    )
    flattened = np.concatenate([np.ravel(g) for g in actual])
    assert error(flattened, expected) < 1e-4


def test_the_landscape_of_two_layers_is_the_quartic_in_s():
    """`P(s) = X (A - s G)(B - s H) = P - s P' + s^2 P''`, so that L(s) is a polynomial.

    Steps from where the loss falls to where the quartic term rules; float32 against float64.
    """
    x, y = batch_of(30, 5)
    model = models.deep_linear("none", 2, 5, seed=0)
    a, b = (w.astype(np.float64) for w in values_of(model))
    loss, (g, h) = loss_and_gradients([a, b], x, y)
    residual, first, second = x @ a @ b - y, x @ (g @ b + a @ h), x @ g @ h
    coefficients = [
        (residual**2).sum() / 2,
        -(residual * first).sum(),
        (first**2).sum() / 2 + (residual * second).sum(),
        -(first * second).sum(),
        (second**2).sum() / 2,
    ]
    grid = [1e-4, 1e-3, 1e-2, 0.1]
    losses = np.polynomial.polynomial.polyval(grid, coefficients)
    gradients = [loss_and_gradients([a - s * g, b - s * h], x, y)[1] for s in grid]
    distances = [reference.norm([p - g, q - h]) for p, q in gradients]
    size = reference.norm([g, h])

    actual = landscape(model, HalfSquaredError(), (x, y), grid)

    assert losses[0] < loss and losses[-1] > 100 * loss
    assert error(actual.loss, loss) < 1e-6
    assert error(actual.gradient_norm, size) < 1e-6
    np.testing.assert_allclose(actual.losses, losses, rtol=1e-5)
    np.testing.assert_allclose(actual.gradient_distances, distances, rtol=1e-4)
    ratios = np.divide(distances, grid) / size
    assert error(actual.smoothness, ratios.max()) < 1e-4
    # The slope of the polynomial at 0 is minus the squared norm of the gradient.
    np.testing.assert_allclose(coefficients[1], -(size**2), rtol=1e-12)


def test_covariate_shift_of_three_layers_by_hand():
    """Before layer i: the weights after the update; from layer i on: those before it."""
    x, y = batch_of(30, 4)
    model = models.deep_linear("none", 3, 4, seed=0)
    current = values_of(model)
    _, gradients = loss_and_gradients(current, x, y)
    following = [w - 2e-3 * g for w, g in zip(current, gradients, strict=True)]
    moved = [
        loss_and_gradients([*following[:i], *current[i:]], x, y)[1][i] for i in range(len(current))
    ]
    l2 = [np.linalg.norm(b - a) for a, b in zip(gradients, moved, strict=True)]
    norms = [np.linalg.norm(g) for g in gradients]
    cosines = [
        (a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b))
        for a, b in zip(gradients, moved, strict=True)
    ]

    def measure(x, y):
        ics = internal_covariate_shift(model, HalfSquaredError(), (x, y), following)
        assert ics.layers == ("dense1", "dense2", "dense3")
        return ics[1:]

    eager = measure(x, y)
    compiled = tf.function(measure, autograph=False)(tf.constant(x), tf.constant(y))
    for actual in (eager, compiled):
        for got, want in zip(actual, (l2, cosines, norms), strict=True):
            assert error(got, want) < 1e-5
        assert actual[0][0] == 0
    assert min(l2[i] / norms[i] for i in (1, 2)) > 0.05
    assert min(cosines) < 0.999


def test_covariate_shift_of_25_layers_is_traced_once():
    """The gradient is one function in the graph, however many layers ask for it."""
    trainer = dln_trainer(depth=25, lr=1e-5)
    watcher = callbacks.InternalCovariateShift(every=2)
    trainer.fit(full_batches(), 5, [watcher])
    assert [record["step"] for record in watcher.records] == [0, 2, 4]
    assert [len(record["l2"]) for record in watcher.records] == [25] * 3
    assert watcher._compiled.experimental_get_tracing_count() == 1

    traced = []

    class Counted(HalfSquaredError):
        def call(self, y_true, y_pred):
            traced.append(y_pred.shape)
            return super().call(y_true, y_pred)

    model, (x, y) = trainer.model, batch_of()
    following = [w + 0.01 for w in values_of(model)]
    compiled = tf.function(
        lambda x, y: internal_covariate_shift(model, Counted(), (x, y), following)[1:],
        autograph=False,
    )
    for _ in range(2):
        compiled(tf.constant(x), tf.constant(y))
    assert len(traced) == 1


def test_layers_are_named_and_normalised_in_forward_order():
    def names(**options):
        return [layer.name for layer in models.deep_linear(depth=3, dim=2, **options).layers]

    assert names() == ["inputs", "dense1", "dense2", "dense3"]
    normalised = ["inputs", "dense1", "norm1", "dense2", "norm2", "dense3"]
    assert names(norm="bn") == normalised
    assert names(norm="bn", norm_last=True) == [*normalised, "norm3"]


def test_no_layer_has_a_bias_and_a_norm_changes_no_initial_kernel():
    """No two layers share their draw."""
    arms = [models.deep_linear(norm, 4, 5, seed=3) for norm in ("none", "l1")]
    for one, other in ([arm.get_layer(f"dense{i}") for arm in arms] for i in range(1, 5)):
        assert not one.use_bias and not other.use_bias
        np.testing.assert_array_equal(one.kernel, other.kernel)
    kernels = values_of(arms[0])
    assert all(np.abs(a - b).max() > 0.01 for a, b in itertools.combinations(kernels, 2))


def test_outputs_are_float32_at_any_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = models.deep_linear("bn", 3, 4, norm_last=True)
    assert model.get_layer("dense1").compute_dtype == "bfloat16"
    assert model.get_layer("dense3").compute_dtype == "float32"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 0}, r"`depth` must be an integer >= 1\. Received: depth=0"),
        ({"depth": 2.0}, r"Received: depth=2\.0"),
        ({"dim": -1}, r"`dim` must be an integer >= 1\. Received: dim=-1"),
        ({"norm": "batch"}, r"`norm` must be one of none, bn.*Received: norm='batch'"),
    ],
)
def test_arguments_that_are_not_valid(options, message):
    with pytest.raises(ValueError, match=message):
        models.deep_linear(**options)
