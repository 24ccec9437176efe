"""Every registered layer, with the Keras layer that it is held against."""

import functools
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import keras
import numpy as np

from bnkit import layers
from bnkit.layers import registered

OVER_BATCH = {
    "axis": 1,
    "momentum": 0.7,
    "epsilon": 0.25,
    "center": True,
    "scale": True,
    "beta_initializer": keras.initializers.Constant(0.5),
    "gamma_initializer": keras.initializers.Constant(-2.0),
    "moving_mean_initializer": keras.initializers.Constant(0.3),
    "moving_variance_initializer": keras.initializers.Constant(1.7),
    "beta_regularizer": keras.regularizers.L2(0.1),
    "gamma_regularizer": keras.regularizers.L1(0.2),
    "beta_constraint": keras.constraints.MaxNorm(0.1),
    "gamma_constraint": keras.constraints.NonNeg(),
    "synchronized": True,
}
OVER_SAMPLE = {
    name: value
    for name, value in OVER_BATCH.items()
    if not name.startswith("moving") and name not in ("momentum", "synchronized", "axis")
}
RENORM = dict.fromkeys(("renorm", "renorm_clipping", "renorm_momentum"), "not asked for")
NO_AXIS = {"axis": "channels last"}
SILENT = {"n_mu": 0, "n_sigma": 1, "r_mu": 0, "r_sigma": 0}
KERNEL = {
    "kernel_initializer": keras.initializers.GlorotNormal(seed=3),
    "bias_initializer": keras.initializers.Constant(0.5),
    "kernel_regularizer": keras.regularizers.L2(0.1),
    "bias_regularizer": keras.regularizers.L1(0.2),
    "activity_regularizer": keras.regularizers.L2(0.3),
    "kernel_constraint": keras.constraints.MaxNorm(0.2),
    "bias_constraint": keras.constraints.MaxNorm(0.1),
    "use_bias": True,
    "activation": keras.activations.tanh,
}


class Twin(NamedTuple):
    """A row of the table.

    Attributes:
        make: `make(**options)` gives the layer, with whatever makes it the same function.
        keras: `keras(**options)` gives Keras's.
        options: Each argument of Keras's, with a value that is not the default.
        names: Keras's argument -> the layer's, where the name is another.
        without: Keras's arguments that the layer does not have -> why.
        same: Whether both calculate the same.
        p: Of an Lp norm.
    """

    make: Callable
    keras: Callable
    options: dict
    names: Mapping = MappingProxyType({})
    without: Mapping = MappingProxyType({})
    same: bool = True
    p: object = None

    def renamed(self, options):
        """Options of Keras's under the layer's names."""
        return {self.names.get(name, name): value for name, value in options.items()}

    def takes_batch_statistics(self):
        return isinstance(self.make(), layers.BatchNorm | layers.LpNorm)

    def has_modes(self):
        """Whether training and inference mode differ."""
        return self.takes_batch_statistics() or isinstance(self.make(), layers.CovariateNoise)


def lp_norm(p):
    return Twin(
        functools.partial(layers.LpNorm, p),
        keras.layers.BatchNormalization,
        OVER_BATCH,
        {"moving_variance_initializer": "moving_spread_initializer"},
        RENORM,
        same=False,
        p=p,
    )


def weight_norm(**options):
    layer = {k: options.pop(k) for k in ("name", "trainable") if k in options}
    return layers.WeightNorm(keras.layers.Dense(6, **options), dtype=options.get("dtype"), **layer)


TWINS = {
    "BatchNorm": Twin(
        layers.BatchNorm, keras.layers.BatchNormalization, OVER_BATCH, without=RENORM
    ),
    "NoisyBatchNorm": Twin(
        functools.partial(layers.NoisyBatchNorm, **SILENT),
        keras.layers.BatchNormalization,
        OVER_BATCH,
        without=RENORM,
    ),
    **{f"LpNorm {p}": lp_norm(p) for p in (1, 2, 3, "inf")},
    "CovariateNoise": Twin(
        layers.CovariateNoise,
        functools.partial(keras.layers.GaussianNoise, 0.5),
        {"seed": 3},
        without={"stddev": "the noise is another"},
        same=False,
    ),
    "LayerNorm": Twin(
        layers.LayerNorm,
        functools.partial(keras.layers.GroupNormalization, groups=1),
        OVER_SAMPLE,
        without=NO_AXIS | {"groups": "one"},
    ),
    "GroupNorm": Twin(
        functools.partial(layers.GroupNorm, groups=3),
        functools.partial(keras.layers.GroupNormalization, groups=3),
        OVER_SAMPLE,
        without=NO_AXIS,
    ),
    "InstanceNorm": Twin(
        layers.InstanceNorm,
        functools.partial(keras.layers.GroupNormalization, groups=-1),
        OVER_SAMPLE,
        without=NO_AXIS | {"groups": "one for each channel"},
    ),
    "RMSNorm": Twin(
        layers.RMSNorm, keras.layers.RMSNormalization, {"axis": [1, 2], "epsilon": 0.25}
    ),
    "WeightNorm": Twin(
        weight_norm,
        functools.partial(keras.layers.Dense, 6),
        KERNEL,
        without={
            "units": "given",
            "lora_rank": "would be a second kernel",
            "lora_alpha": "would be a second kernel",
            "quantization_config": "would be another kernel",
        },
    ),
}


def registered_classes():
    """The layer classes of all modules of `bnkit.layers`."""
    modules = [getattr(registered, name) for name in registered.__all__]
    return {
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, keras.Layer)
        and keras.saving.get_registered_name(value).startswith("bnkit>")
    }


def arguments_of(layer_class):
    """The named arguments of a Keras layer's constructor."""
    function = getattr(layer_class, "func", layer_class)
    parameters = inspect.signature(function.__init__).parameters.values()
    return {p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD} - {"self"}


def random_batch(shape, seed=0):
    """Units (last axis) with different means and deviations, float32."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) * rng.uniform(0.3, 3, shape[-1]) + rng.normal(0, 2, shape[-1])
    return x.astype("float32")


def state_of(layer):
    """The values of all variables, random states too."""
    return [np.asarray(variable) for variable in layer.variables]


def weights_of(layer):
    """The variables that the twin has too, in its order."""
    variables = getattr(layer, "layer", layer).variables
    return [variable for variable in variables if variable.name != "seed_generator_state"]
