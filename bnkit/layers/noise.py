"""Noise that shifts distributions at every step (paper Algorithm 1): noisy batch norm."""

import keras
import tensorflow as tf

from bnkit.layers import draws
from bnkit.layers.batch_norm import BatchNorm


@keras.saving.register_keras_serializable(package="bnkit")
class CovariateNoise(keras.layers.Layer):
    """`s * x + m` with random s and m, whose distribution is drawn anew at every step.

    For each unit j: `mu_j ~ U(-n_mu, n_mu)`, `sigma_j ~ U(1, n_sigma)`. Then for each of its
    values i, over batch and positions: `m_ij ~ U(mu_j - r_mu, mu_j + r_mu)`,
    `s_ij ~ N(sigma_j, r_sigma)`, r_sigma being a standard deviation. Stands between a
    normalisation and the non-linearity; in inference mode, and with `trainable = False`, it does
    nothing.

    Draws follow from the seed and the number of training calls, and differ between layers, steps
    and replicas. In a probe, which holds the state fixed, all evaluations see the noise of the
    step.

    Args:
        n_mu: Half the range of a unit's mean shift, >= 0.
        n_sigma: Upper end of a unit's mean scale, >= 1.
        r_mu: Half the range of the shift around its unit's mean, >= 0.
        r_sigma: Standard deviation of the scale around its unit's mean, >= 0.
        seed: An integer; by default drawn from Keras's global random state.

    Input: floats `[batch, ..., units]`; output: the same shape.
    """

    def __init__(self, n_mu=0.5, n_sigma=1.25, r_mu=0.1, r_sigma=0.1, seed=None, **kwargs):
        super().__init__(**kwargs)
        for name, value, least in (
            ("n_mu", n_mu, 0),
            ("n_sigma", n_sigma, 1),
            ("r_mu", r_mu, 0),
            ("r_sigma", r_sigma, 0),
        ):
            if not least <= value < float("inf"):
                raise ValueError(
                    f"`{name}` must be finite and >= {least}. Received: {name}={value}"
                )
        self.n_mu = n_mu
        self.n_sigma = n_sigma
        self.r_mu = r_mu
        self.r_sigma = r_sigma
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs, training=False):
        if not (training and self.trainable):
            return inputs
        x = tf.cast(inputs, keras.backend.result_type(self.variable_dtype, "float32"))
        of_mu, of_sigma, of_values = self._seeds(3)
        units = tf.shape(x)[-1:]
        scale, shift = draws.scale_and_shift(
            tf.random.stateless_uniform(units, of_mu, -self.n_mu, self.n_mu),
            tf.random.stateless_uniform(units, of_sigma, 1.0, self.n_sigma),
            tf.constant(self.r_mu, tf.float32),
            tf.constant(self.r_sigma, tf.float32),
            of_values,
            tf.shape(x),
        )
        outputs = tf.cast(scale, x.dtype) * x + tf.cast(shift, x.dtype)
        return tf.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "n_mu": self.n_mu,
            "n_sigma": self.n_sigma,
            "r_mu": self.r_mu,
            "r_sigma": self.r_sigma,
            "seed": self.seed,
        }

    def _seeds(self, count):
        """Independent seeds of this call on this replica, `[count, 2]`."""
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        seed = tf.random.experimental.stateless_fold_in(seed, replica)
        return tf.unstack(tf.random.experimental.stateless_split(seed, count), num=count)


@keras.saving.register_keras_serializable(package="bnkit")
class NoisyBatchNorm(BatchNorm):
    """Batch norm followed by `CovariateNoise`: the paper's "noisy BN".

    Args:
        n_mu, n_sigma, r_mu, r_sigma, seed: See `CovariateNoise`.
        others: See `BatchNorm`.
    """

    def __init__(self, n_mu=0.5, n_sigma=1.25, r_mu=0.1, r_sigma=0.1, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.noise = CovariateNoise(n_mu, n_sigma, r_mu, r_sigma, seed, dtype=self.dtype_policy)

    def call(self, inputs, training=False, mask=None):
        outputs = super().call(inputs, training=training, mask=mask)
        return self.noise(outputs, training=training and self.trainable)

    def get_config(self):
        noise = self.noise.get_config()
        constants = {name: noise[name] for name in ("n_mu", "n_sigma", "r_mu", "r_sigma", "seed")}
        return {**super().get_config(), **constants}
