"""Internal covariate shift against NumPy, the definition by brute force, and the global batch."""

import re

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from reference import error

from bnkit import models
from bnkit.layers import BatchNorm
from bnkit.probes import internal_covariate_shift

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def half_mean_square(y_true, y_pred):
    return tf.reduce_mean(tf.square(y_pred - y_true)) / 2


def cosine(a, b):
    inner = sum(np.sum(np.multiply(p, q)) for p, q in zip(a, b, strict=True))
    return inner / (reference.norm(a) * reference.norm(b))


def measures(before, after):
    """`l2, cosine, gradient_norm` from lists of arrays per layer."""
    pairs = list(zip(before, after, strict=True))
    return (
        [reference.norm([q - p for p, q in zip(g, h, strict=True)]) for g, h in pairs],
        [cosine(g, h) for g, h in pairs],
        [reference.norm(g) for g, _ in pairs],
    )


def test_three_linear_layers_by_hand():
    """`P = X A B C` and `L = ||P - Y||^2 / (2 m n)` for m samples with n outputs.

    With `E = (P - Y) / (m n)` the gradients are
        dL/dA = X' E (B C)',   dL/dB = (X A)' E C',   dL/dC = (X A B)' E.
    With A+, B+ after the update, only the layers before the one looked at move:
        A:  nothing moves;
        B:  A+, B, C:   E2 = (X A+ B C - Y) / (m n),    (X A+)' E2 C';
        C:  A+, B+, C:  E3 = (X A+ B+ C - Y) / (m n),   (X A+ B+)' E3.
    """
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 2))
    shapes = [(4, 5), (5, 3), (3, 2)]
    a, b, c = current = [rng.normal(size=shape) for shape in shapes]
    a_next, b_next, _ = following = [w + 0.3 * rng.normal(size=w.shape) for w in current]
    residual = (x @ a @ b @ c - y) / y.size
    residual_b = (x @ a_next @ b @ c - y) / y.size
    residual_c = (x @ a_next @ b_next @ c - y) / y.size
    first = x.T @ residual @ (b @ c).T
    before = [first, (x @ a).T @ residual @ c.T, (x @ a @ b).T @ residual]
    after = [
        first,
        (x @ a_next).T @ residual_b @ c.T,
        (x @ a_next @ b_next).T @ residual_c,
    ]
    dense = [
        keras.layers.Dense(n, use_bias=False, name=name)
        for n, name in [(5, "a"), (3, "b"), (2, "c")]
    ]
    model = keras.Sequential([keras.Input((4,)), *dense])
    model.set_weights(current)

    actual = internal_covariate_shift(model, half_mean_square, (x, y), following)

    assert actual.layers == ("a", "b", "c")
    expected = measures([[g] for g in before], [[g] for g in after])
    for name, got, want in zip(actual._fields[1:], actual[1:], expected, strict=True):
        assert error(got, want) < 1e-5, name
    assert actual.l2[0] == 0
    assert min(expected[0][1:]) > 0.1


def images(samples=16, shape=(8, 8, 3)):
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, *shape)).astype("float32"), rng.integers(0, 10, samples)


def updated(model, batch, learning_rate=0.1):
    """W(t+1) of one step of gradient descent, by an ordinary training step on a copy."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    with tf.GradientTape() as tape:
        loss = CROSS_ENTROPY(batch[1], copy(batch[0], training=True))
    gradient = tape.gradient(loss, copy.trainable_variables)
    keras.optimizers.SGD(learning_rate).apply(gradient, copy.trainable_variables)
    return [v.numpy() for v in copy.trainable_variables]


def brute_force(model, batch, next_weights, layer_of, before=range):
    """Definition 2.1 with weights set on a copy.

    `layer_of`: the layer number of each variable; `before(i)`: the numbers of layers before i.
    """
    copy = keras.models.clone_model(model)
    current = [v.numpy() for v in model.trainable_variables]

    def gradient_of(layer, moved):
        for variable, number, old, new in zip(
            copy.trainable_variables, layer_of, current, next_weights, strict=True
        ):
            variable.assign(new if number in moved else old)
        with tf.GradientTape() as tape:
            loss = CROSS_ENTROPY(batch[1], copy(batch[0], training=True))
        gradient = tape.gradient(loss, copy.trainable_variables)
        return [g.numpy() for g, number in zip(gradient, layer_of, strict=True) if number == layer]

    numbers = sorted(set(layer_of))
    return measures(
        [gradient_of(i, moved=()) for i in numbers],
        [gradient_of(i, moved=before(i)) for i in numbers],
    )


@pytest.fixture(scope="module")
def vgg_case():
    """A VGG with BN, a batch, W(t+1), and the shift of each layer by the definition."""
    model = models.vgg("bn", width=1 / 32, input_shape=(8, 8, 3), seed=0)
    batch = images()
    next_weights = updated(model, batch)
    # From the names: `norm3/gamma` goes with `conv3`, and the logits are the eleventh layer.
    numbers = [
        11 if "logits" in v.path else int(re.search(r"(\d+)/\w+$", v.path)[1])
        for v in model.trainable_variables
    ]
    return model, batch, next_weights, brute_force(model, batch, next_weights, numbers)


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_equals_the_definition_on_a_vgg(vgg_case, in_graph):
    """Scale and shift move with the weights that they follow."""
    model, batch, next_weights, expected = vgg_case

    def measure(x, y):
        ics = internal_covariate_shift(model, CROSS_ENTROPY, (x, y), next_weights)
        assert ics.layers == tuple(
            [f"conv{i}" for i in range(1, 9)] + ["dense9", "dense10", "logits"]
        )
        return ics[1:]

    if in_graph:
        measure = tf.function(measure, autograph=False)
    l2, angle, norms = measure(*map(tf.constant, batch))

    assert error(l2, expected[0]) < 1e-4
    assert error(angle, expected[1]) < 1e-4
    assert error(norms, expected[2]) < 1e-4
    assert l2[0] == 0
    np.testing.assert_allclose(angle[0], 1, rtol=1e-6)
    assert np.min(l2[1:]) > 1e-3
    assert np.max(np.abs(angle)) <= 1


# --- graphs that branch ---


def numbered(model, logits):
    """The layer number in each variable's path: `norm3/gamma` goes with layer 3."""
    found = [re.search(r"(\d+)/\w+$", v.path) for v in model.trainable_variables]
    return [int(match[1]) if match else logits for match in found]


def check_branches(model, batch, numbers, before=range):
    """Against the definition; the first has exactly no shift, every other has one."""
    next_weights = updated(model, batch)
    expected = brute_force(model, batch, next_weights, numbers, before)
    found = []

    def measure(x, y):
        found.append(internal_covariate_shift(model, CROSS_ENTROPY, (x, y), next_weights))
        return found[0][1:]

    actual = tf.function(measure, autograph=False)(*map(tf.constant, batch))
    for got, want in zip(actual, expected, strict=True):
        assert error(got, want) < 1e-4
    assert actual[0][0] == 0 and (actual[0][1:] > 1e-5).numpy().all()
    return found[0].layers


@pytest.mark.parametrize(("norm", "place"), [("bn", "post"), ("bn", "pre"), ("weight", "post")])
def test_equals_the_definition_on_a_residual_network(norm, place):
    """Every convolution reaches all after it, by its branch or by the skip connections."""
    model = models.resnet(norm, width=1 / 8, input_shape=(4, 4, 3), norm_place=place, seed=0)
    layers = check_branches(model, images(4, (4, 4, 3)), numbered(model, 20))
    assert layers == (*(f"conv{i}" for i in range(1, 20)), "logits")


@pytest.mark.parametrize(("norm", "place"), [("bn", "post"), ("layer", "pre")])
def test_equals_the_definition_on_a_vision_transformer(norm, place):
    """Key and value have what query has before them: 2, 3 and 4, and 8, 9 and 10."""
    model = models.vision_transformer(
        norm, 2, width=1 / 8, input_shape=(8, 8, 3), norm_place=place, seed=0
    )
    beside = {3: 1, 4: 2, 9: 1, 10: 2}
    layers = check_branches(
        model,
        images(),
        numbered(model, 14),
        lambda i: range(1, i - beside.get(i, 0)),
    )
    assert layers[:5] == ("dense1", "query2", "key3", "value4", "project5")
    assert layers[-3:] == ("dense12", "dense13", "logits")


def test_equals_the_definition_with_a_weighted_shortcut():
    """A shortcut, its branch of two and a norm on each; numbers say who belongs to whom.

    0 is the stem, 1 and 2 the branch, 3 the shortcut, 4 the head.
    """
    inputs = keras.Input((5,))
    dense = {i: keras.layers.Dense(n, name=f"w{i}") for i, n in enumerate((6, 6, 6, 6, 10))}
    norm = {i: BatchNorm(name=f"n{i}") for i in range(4)}
    x = keras.layers.ReLU()(norm[0](dense[0](inputs)))
    shortcut = norm[3](dense[3](x))
    branch = norm[2](dense[2](keras.layers.ReLU()(norm[1](dense[1](x)))))
    model = keras.Model(inputs, dense[4](keras.layers.ReLU()(branch + shortcut)))
    before = {0: [], 1: [0], 2: [0, 1], 3: [0], 4: [0, 1, 2, 3]}
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(12, 5)).astype("float32"), rng.integers(0, 10, 12)
    numbers = numbered(model, None)
    next_weights = updated(model, batch)
    expected = brute_force(model, batch, next_weights, numbers, before.get)
    ics = internal_covariate_shift(model, CROSS_ENTROPY, batch, next_weights)
    order = [int(name[1:]) for name in ics.layers]
    assert sorted(order) == list(range(5)) and order[0] == 0 and order[-1] == 4
    for got, want in zip(ics[1:], expected, strict=True):
        assert error(got, np.asarray(want)[order]) < 1e-4


def test_branches_of_two_inputs_have_no_shift():
    """Each begins at the data: neither reaches the other, and both move what follows."""
    a, b = keras.Input((3,), name="a"), keras.Input((4,), name="b")
    first, second = keras.layers.Dense(5, name="w1")(a), keras.layers.Dense(5, name="w2")(b)
    outputs = keras.layers.Dense(10, name="w3")(keras.layers.ReLU()(first + second))
    model = keras.Model([a, b], outputs)
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(8, n)).astype("float32") for n in (3, 4)]
    following = [v.numpy() + 0.1 for v in model.trainable_variables]
    batch = (x, rng.integers(0, 10, 8))
    ics = internal_covariate_shift(model, CROSS_ENTROPY, batch, following)
    np.testing.assert_array_equal(ics.l2[:2], [0, 0])
    np.testing.assert_allclose(ics.cosine[:2], [1, 1], rtol=1e-6)
    assert ics.l2[2] > 1e-3


def test_without_an_update_nothing_shifts(vgg_case):
    model, batch, _, _ = vgg_case
    ics = internal_covariate_shift(model, CROSS_ENTROPY, batch, model.trainable_variables)
    assert np.max(ics.l2 / ics.gradient_norm) < 1e-5
    np.testing.assert_allclose(ics.cosine, np.ones(11), atol=1e-5)


def test_at_given_weights():
    model, other, batch = convolutional(), convolutional(), images(shape=(4, 4, 2))
    current = [v.numpy() for v in model.trainable_variables]
    following = [w + 0.1 for w in current]
    expected = internal_covariate_shift(model, CROSS_ENTROPY, batch, following)
    actual = internal_covariate_shift(other, CROSS_ENTROPY, batch, following, weights=current)
    for got, want in zip(actual[1:], expected[1:], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5)


def convolutional(**options):
    """Three weight layers, the first two with BN."""
    return keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            keras.layers.Conv2D(3, 3),
            BatchNorm(**options),
            keras.layers.Flatten(),
            keras.layers.Dense(6),
            BatchNorm(**options),
            keras.layers.Dense(10),
        ]
    )


def test_on_replicas_it_is_that_of_the_global_batch(two_replicas, on_two_replicas):
    x, y = images(shape=(4, 4, 2))
    x[8:] = 2 * x[8:] + 1
    single = convolutional()
    rng = np.random.default_rng(0)
    following = [v.numpy() + 0.2 * rng.normal(size=v.shape) for v in single.trainable_variables]
    expected = internal_covariate_shift(single, CROSS_ENTROPY, (x, y), following)[1:]
    with two_replicas.scope():
        model = convolutional(synchronized=True)
    model.set_weights(single.get_weights())

    def measure(x, y):
        return internal_covariate_shift(model, CROSS_ENTROPY, (x, y), following)[1:]

    results = on_two_replicas(measure, x, y)
    for result in results:
        for got, want in zip(result, expected, strict=True):
            assert error(got, want) < 1e-4
    np.testing.assert_array_equal(results[0], results[1])


def test_a_layer_whose_gradient_vanishes_has_no_angle():
    """All units of every layer dead, in more layers than a vector register holds."""
    dead = keras.initializers.Constant(-100.0)
    layers = [keras.layers.Dense(3, activation="relu", bias_initializer=dead) for _ in range(11)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    batch = (np.ones((2, 3), "float32"), np.ones((2, 3), "float32"))
    ics = internal_covariate_shift(model, half_mean_square, batch, model.trainable_variables)
    np.testing.assert_array_equal(ics.l2, np.zeros(11))
    np.testing.assert_array_equal(ics.gradient_norm, np.zeros(11))
    assert np.isnan(ics.cosine).all()


def test_one_layer_alone_has_no_shift():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="only")])
    batch = (np.ones((2, 3), "float32"), np.ones((2, 2), "float32"))
    following = [v.numpy() + 1 for v in model.trainable_variables]
    ics = internal_covariate_shift(model, half_mean_square, batch, following)
    assert ics.layers == ("only",)
    np.testing.assert_array_equal(ics.l2, [0.0])


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_every_variable_stays_bit_identical(in_graph, variables_of_a_trained_model):
    model, batch, snapshot = variables_of_a_trained_model
    before = snapshot()
    following = [v.numpy() + 0.1 for v in model.trainable_variables]

    def measure(x, y):
        return internal_covariate_shift(model, CROSS_ENTROPY, (x, y), following)[1:]

    (tf.function(measure, autograph=False) if in_graph else measure)(*map(tf.constant, batch))
    assert snapshot() == before


def test_dropout_draws_one_mask_for_both_gradients():
    """Nothing moves, so that another mask would be the only thing to change a gradient."""
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(32),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Dense(2),
        ]
    )
    batch = (np.ones((4, 8), "float32"), np.ones((4, 2), "float32"))
    ics = internal_covariate_shift(model, half_mean_square, batch, model.trainable_variables)
    np.testing.assert_array_equal(ics.l2, np.zeros(2))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_close_to_single(policy):
    """Of few layers: at its start a deep network with BN blows rounding up."""
    batch = images(shape=(4, 4, 2))
    single = convolutional()
    following = [v.numpy() + 0.2 for v in single.trainable_variables]
    expected = internal_covariate_shift(single, CROSS_ENTROPY, batch, following)
    keras.config.set_dtype_policy(policy)
    model = convolutional()
    model.set_weights(single.get_weights())
    actual = internal_covariate_shift(model, CROSS_ENTROPY, batch, following)
    assert model.layers[0].compute_dtype == policy.removeprefix("mixed_")
    assert {value.dtype for value in actual[1:]} == {tf.float32}
    assert actual.l2[0] == 0
    for got, want in zip(actual[1:], expected[1:], strict=True):
        assert error(got, want) < 0.05


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda w: w[:-1], r"`next_weights`.*Received: \[\(3, 2\)\], expected: \[\(3, 2\), \(2,\)"),
        (lambda w: w[::-1], r"`next_weights`.*Received: \[\(2,\), \(3, 2\)\]"),
        (lambda w: [*w, w[0]], r"Received: \[\(3, 2\), \(2,\), \(3, 2\)\]"),
    ],
)
def test_next_weights_that_do_not_fit(change, message):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    batch = (np.ones((2, 3), "float32"), np.ones((2, 2), "float32"))
    with pytest.raises(ValueError, match=message):
        internal_covariate_shift(model, half_mean_square, batch, change(model.get_weights()))
