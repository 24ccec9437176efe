"""CovariateNoise: its distribution (paper Algorithm 1), and when it is drawn anew.

Statistics are those of one fixed seed; bounds are five standard errors (of up to 1000 units at
once: 1e-3 of all seeds would fail one), for the Kolmogorov-Smirnov distance `1.95 / sqrt(n)`.
"""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf

from bnkit.layers import BatchNorm, CovariateNoise, NoisyBatchNorm
from bnkit.probes import Landscape, landscape

PAPER = {"n_mu": 0.5, "n_sigma": 1.25, "r_mu": 0.1, "r_sigma": 0.1}
SAMPLES, UNITS = 1000, 500


def draws(layer, shape):
    """`(scale, shift)` of the next training call, which is not made.

    The noise is linear: inputs 0 give the shift, inputs 1 add the scale.
    """
    layer.build(shape)
    state = [v.value for v in layer.non_trainable_variables]
    at_zero, at_one = (
        layer.stateless_call([], state, fill(shape), training=True)[0].numpy()
        for fill in (tf.zeros, tf.ones)
    )
    return at_one.astype("float64") - at_zero, at_zero.astype("float64")


def share_equal(a, b):
    """How much of two draws is the same; of independent float32 draws next to nothing is."""
    return np.mean(np.abs(a - b) < 1e-7)


def assert_all_different(*several):
    for i, one in enumerate(several):
        for other in several[:i]:
            assert all(share_equal(*pair) < 0.01 for pair in zip(one, other, strict=True))
            # The units' means are others too: a tenth of their range apart for nearly all.
            means = [values.reshape(-1, values.shape[-1]).mean(0) for values in (one[1], other[1])]
            assert np.mean(np.abs(means[0] - means[1]) > 0.02) > 0.5


@pytest.mark.parametrize(
    "change",
    [{}, {"n_mu": 2.0}, {"n_sigma": 3.0}, {"r_mu": 0.4}, {"r_sigma": 0.5}],
    ids=["paper", "n_mu", "n_sigma", "r_mu", "r_sigma"],
)
def test_statistics_of_algorithm_1(change):
    constants = {**PAPER, **change}
    n_mu, n_sigma, r_mu, r_sigma = constants.values()
    layer = CovariateNoise(**change, seed=1)
    assert {name: layer.get_config()[name] for name in PAPER} == constants
    scale, shift = draws(layer, (SAMPLES, UNITS))
    everything = scale.size
    assert everything >= 1e5

    # m_ij ~ U(mu_j - r_mu, mu_j + r_mu). A range of n uniform values falls short of 2 r_mu by a
    # few n-ths: by more than 20 in one of 1e7 units. Its middle is mu_j as closely.
    low, high = shift.min(0), shift.max(0)
    short = 2 * r_mu * 20 / SAMPLES
    assert (high - low).max() <= 2 * r_mu * (1 + 1e-5)
    assert (high - low).min() > 2 * r_mu - short
    mu = (low + high) / 2
    assert np.abs(shift.mean(0) - mu).max() < 5 * r_mu / np.sqrt(3 * SAMPLES)
    deviations = shift - mu
    distance = reference.kolmogorov_smirnov(deviations, -r_mu, r_mu)
    assert distance < 1.95 / np.sqrt(everything) + 2 / SAMPLES

    # mu_j ~ U(-n_mu, n_mu)
    assert np.abs(mu).max() <= n_mu + short
    assert reference.kolmogorov_smirnov(mu, -n_mu, n_mu) < 1.95 / np.sqrt(UNITS)

    # s_ij ~ N(sigma_j, r_sigma), r_sigma a standard deviation.
    sigma, standard_error = scale.mean(0), r_sigma / np.sqrt(SAMPLES)
    standardised = (scale - sigma) / r_sigma
    assert np.abs(scale.std(0) / r_sigma - 1).max() < 5 / np.sqrt(2 * SAMPLES)
    assert standardised.std() == pytest.approx(1, abs=1 / SAMPLES + 5 / np.sqrt(2 * everything))
    assert np.mean(standardised**3) == pytest.approx(0, abs=5 * np.sqrt(6 / everything))
    # A mean taken from the same values lowers the fourth moment by 6 / n.
    fourth = np.mean(standardised**4)
    assert fourth == pytest.approx(3, abs=5 * np.sqrt(96 / everything) + 6 / SAMPLES)

    # sigma_j ~ U(1, n_sigma)
    assert sigma.min() >= 1 - 5 * standard_error
    assert sigma.max() <= n_sigma + 5 * standard_error
    blurred = standard_error / (n_sigma - 1)  # of the steps at both ends
    assert reference.kolmogorov_smirnov(sigma, 1, n_sigma) < 1.95 / np.sqrt(UNITS) + blurred

    # All four are independent.
    assert abs(np.corrcoef(mu, sigma)[0, 1]) < 5 / np.sqrt(UNITS)
    inner = np.corrcoef(deviations.ravel(), standardised.ravel())[0, 1]
    assert abs(inner) < 5 / np.sqrt(everything)


def test_units_do_not_share_their_noise():
    """Over the samples no two units go together: 20,000 pairs, hence six standard errors."""
    for values in draws(CovariateNoise(seed=2), (SAMPLES, 200)):
        correlations = np.corrcoef(values.T)[np.triu_indices(200, 1)]
        assert np.abs(correlations).max() < 6 / np.sqrt(SAMPLES)


def test_samples_and_positions_do_not_share_their_noise():
    """Each of them has its own draw around a mean that the unit has for the whole batch."""
    shape = (8, 6, 5, 40)
    scale, shift = draws(CovariateNoise(seed=2), shape)
    for values in (scale, shift):
        for axis in range(3):
            assert share_equal(values, np.roll(values, 1, axis)) < 0.01
    assert (np.ptp(shift.reshape(-1, 40), 0) <= 0.2 * (1 + 1e-5)).all()
    mu, sigma = (values.reshape(-1, 40).mean(0) for values in (shift, scale))
    assert np.ptp(mu) > 0.5
    for values, means, deviation in ((shift, mu, 0.1 / np.sqrt(3)), (scale, sigma, 0.1)):
        by_sample = values.mean((1, 2))
        assert np.abs(by_sample - means).max() < 5 * deviation / np.sqrt(30)


def test_without_any_range_nothing_is_changed():
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    layer = CovariateNoise(n_mu=0, n_sigma=1, r_mu=0, r_sigma=0)
    np.testing.assert_array_equal(layer(x, training=True), x)


@pytest.mark.parametrize("training", [False, None])
def test_off_at_inference(training):
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    np.testing.assert_array_equal(CovariateNoise()(x, training=training), x)


def test_every_step_draws_anew_and_the_seed_repeats_all():
    shape = (40, 30)

    def three_steps(layer):
        steps = []
        for _ in range(3):
            steps.append(draws(layer, shape))
            layer(tf.ones(shape), training=True)
        return steps

    first, again, other = (three_steps(CovariateNoise(seed=seed)) for seed in (4, 4, 5))
    assert_all_different(*first, *other)
    np.testing.assert_array_equal(first, again)


def test_every_step_within_one_graph_draws_anew():
    layer = CovariateNoise(seed=4)
    layer.build((40, 30))

    @tf.function(autograph=False)
    def steps():
        return [layer(tf.zeros((40, 30)), training=True) for _ in range(3)]

    shifts = [values.numpy() for values in (*steps(), *steps())]
    assert_all_different(*[(shift, shift) for shift in shifts])
    # As eagerly, but for a rounding of the sum mu + (m - mu).
    layer = CovariateNoise(seed=4)
    eager = [layer(tf.zeros((40, 30)), training=True) for _ in shifts]
    np.testing.assert_allclose(shifts, eager, atol=1e-6)


@pytest.mark.parametrize("make", [CovariateNoise, NoisyBatchNorm])
def test_layers_of_one_model_differ_and_the_global_seed_repeats_them(make):
    def both(seed):
        keras.utils.set_random_seed(seed)
        model = keras.Sequential([keras.Input((30,)), make(), make()])
        noises = [getattr(layer, "noise", layer) for layer in model.layers]
        states = [v for v in model.variables if v.name == "seed_generator_state"]
        assert len(states) == 2, "what a checkpoint of the model's variables holds"
        return [draws(noise, (40, 30)) for noise in noises]

    first, again, other = both(0), both(0), both(1)
    assert_all_different(*first, *other)
    np.testing.assert_array_equal(first, again)


def test_the_state_counts_training_calls_only():
    layer = CovariateNoise(seed=4)
    x = tf.ones((4, 3))

    def state():
        return layer.seed_generator.state.numpy().tolist()

    layer(x)
    assert state() == [4, 0]
    layer(x, training=True)
    assert state() == [4, 1]
    layer(x, training=False)
    held = [v.value for v in layer.non_trainable_variables]
    first, after = layer.stateless_call([], held, x, training=True)
    second, _ = layer.stateless_call([], held, x, training=True)
    np.testing.assert_array_equal(first, second)
    assert state() == [4, 1]
    np.testing.assert_array_equal(after[0], [4, 2])
    np.testing.assert_array_equal(layer(x, training=True), first)
    assert state() == [4, 2]


@pytest.mark.parametrize("make", [CovariateNoise, NoisyBatchNorm])
def test_replicas_draw_differently_and_keep_one_state(make, two_replicas, on_two_replicas):
    with two_replicas.scope():
        layer = make(seed=4)
        layer.build((40, 30))
    noise = getattr(layer, "noise", layer)
    state = noise.seed_generator.state

    def step(x):
        # Batch norm makes of zeros zeros: what is left is the shift.
        return layer(x, training=True), tf.identity(state.value)

    steps = [on_two_replicas(step, np.zeros((80, 30), "float32")) for _ in range(2)]
    shifts = [shift for step in steps for shift, _ in step]
    assert_all_different(*[(shift, shift) for shift in shifts])
    assert [[list(count) for _, count in step] for step in steps] == [[[4, 1]] * 2, [[4, 2]] * 2]
    # The first replica draws as a device alone does, but for a rounding of the sum mu + (m - mu).
    alone = CovariateNoise(seed=4)(tf.zeros((40, 30)), training=True)
    np.testing.assert_allclose(shifts[0], alone, atol=1e-6)


def noisy_model(make):
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8),
            make(),
            keras.layers.ReLU(),
            keras.layers.Dense(3),
        ]
    )


cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def labelled_batch(samples=16):
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, 6)).astype("float32"), rng.integers(0, 3, samples)


@pytest.mark.parametrize("make", [CovariateNoise, NoisyBatchNorm])
@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_all_points_of_a_landscape_see_the_noise_of_the_step(make, in_graph):
    model, (x, y) = noisy_model(make), labelled_batch()
    state = [v.numpy() for v in model.variables]

    def probe():
        return landscape(model, cross_entropy, (x, y), [1e-6, 0.1])

    measure = tf.function(probe, autograph=False) if in_graph else probe
    first, second = ([value.numpy() for value in measure()] for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    first = Landscape(*first)
    # A step of 1e-6 is nothing; another draw would change the loss in the second digit.
    assert first.losses[0] == pytest.approx(float(first.loss), rel=1e-5)
    assert abs(first.losses[1] - first.loss) > 1e-3
    for variable, before in zip(model.variables, state, strict=True):
        np.testing.assert_array_equal(variable, before)
    # The step that follows sees that same noise, and the next landscape that of the next step.
    loss = cross_entropy(y, model(x, training=True))
    assert float(first.loss) == pytest.approx(float(loss), rel=1e-6)
    assert abs(measure().loss - first.loss) > 1e-3


def test_all_points_of_a_landscape_on_two_replicas_see_the_same_noise(
    two_replicas, on_two_replicas
):
    with two_replicas.scope():
        model = noisy_model(CovariateNoise)

    def measure(x, y):
        return landscape(model, cross_entropy, (x, y), [1e-6])._asdict()

    first, second = on_two_replicas(measure, *labelled_batch())
    assert first["losses"][0] == pytest.approx(float(first["loss"]), rel=1e-5)
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


@pytest.mark.parametrize("shape", [(16, 5), (4, 3, 3, 5)], ids=["dense", "image"])
def test_noisy_batch_norm_is_batch_norm_then_noise(shape):
    x = tf.constant(np.random.default_rng(0).normal(1, 2, shape), tf.float32)
    constants = {"n_mu": 0.7, "n_sigma": 2.0, "r_mu": 0.2, "r_sigma": 0.3, "seed": 3}
    options = {"momentum": 0.5, "epsilon": 0.1}
    noisy, bn = NoisyBatchNorm(**constants, **options), BatchNorm(**options)
    noise = CovariateNoise(**constants)

    def both(x, training):
        return noisy(x, training=training), noise(bn(x, training=training), training=training)

    for _ in range(2):
        np.testing.assert_array_equal(*both(x, training=True))
        for one, other in zip(
            [noisy.moving_mean, noisy.moving_variance],
            [bn.moving_mean, bn.moving_variance],
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(*both(x, training=False))
    assert {"n_mu": 0.7, "seed": 3, "momentum": 0.5}.items() <= noisy.get_config().items()


@pytest.mark.parametrize("shape", [(16, 5), (4, 3, 3, 5)], ids=["dense", "image"])
def test_outputs_and_gradients_against_float64(shape):
    """The scale is a factor of the gradient, and the shift is none of it; drawn as constants."""
    rng = np.random.default_rng(0)
    x, upstream = (rng.normal(1, 2, shape).astype("float32") for _ in range(2))
    layer = NoisyBatchNorm(epsilon=0.1, seed=3)
    layer.build(shape)
    scale, shift = draws(layer.noise, shape)
    gamma, beta = rng.normal(size=(2, 5)).astype("float32")
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
    sources = [inputs, layer.gamma.value, layer.beta.value]
    gradients = tape.gradient(outputs, sources, output_gradients=tf.constant(upstream))
    before = reference.batch_norm(x, gamma, beta, 0.1).outputs
    np.testing.assert_allclose(outputs, scale * before + shift, rtol=0, atol=2e-5)
    expected = reference.batch_norm_gradient(upstream * scale, x, gamma, 0.1)
    for actual, wanted in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("make", [CovariateNoise, NoisyBatchNorm])
@pytest.mark.parametrize(
    "constants, message",
    [
        ({"n_mu": -0.5}, r"`n_mu` must be finite and >= 0\. Received: n_mu=-0\.5"),
        ({"n_sigma": 0.9}, r"`n_sigma` must be finite and >= 1\. Received: n_sigma=0\.9"),
        ({"r_mu": -1e-9}, r"`r_mu` must be finite and >= 0\. Received: r_mu=-1e-09"),
        ({"r_sigma": -1}, r"`r_sigma` must be finite and >= 0\. Received: r_sigma=-1"),
        ({"r_sigma": float("nan")}, r"Received: r_sigma=nan"),
        ({"n_mu": float("inf")}, r"Received: n_mu=inf"),
    ],
)
def test_constants_that_are_not_valid(make, constants, message):
    with pytest.raises(ValueError, match=message):
        make(**constants)
