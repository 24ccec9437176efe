"""Which weights form a layer of the study."""

import keras
import numpy as np
import pytest

from bnkit import models
from bnkit.layers import BatchNorm
from bnkit.probes import stages

Dense, Input = keras.layers.Dense, keras.Input


def paths(model):
    """`{stage: [layer/variable, ...]}`, once it is sure that each variable is in one stage."""
    found = stages(model)
    positions = [position for stage in found for position in stage.positions]
    assert sorted(positions) == list(range(len(model.trainable_variables)))
    return {
        stage.name: ["/".join(model.trainable_variables[p].path.split("/")[-2:]) for p in positions]
        for stage in found
        for positions in [stage.positions]
    }


@pytest.mark.parametrize("depth, convolutions", [(11, 8), (16, 13)])
@pytest.mark.parametrize("norm", ["bn", "none"])
def test_a_vgg_has_its_weight_layers_in_forward_order(depth, convolutions, norm):
    model = models.vgg(norm, depth=depth, width=1 / 64, input_shape=(8, 8, 1))
    names = [f"conv{i}" for i in range(1, convolutions + 1)]
    names += [f"dense{i}" for i in range(convolutions + 1, depth)]
    expected = {}
    for i, name in enumerate(names, start=1):
        expected[name] = [f"{name}/kernel", f"{name}/bias"]
        if norm == "bn":
            expected[name] += [f"norm{i}/gamma", f"norm{i}/beta"]
    expected["logits"] = ["logits/kernel", "logits/bias"]
    actual = paths(model)
    assert list(actual) == list(expected)
    assert actual == expected


def norm(name):
    return BatchNorm(name=name)


def sequential():
    return keras.Sequential([Input((3,)), Dense(4, name="a"), norm("n"), Dense(2, name="b")])


def functional():
    inputs = Input((3,))
    x = norm("n")(Dense(4, name="a")(inputs))
    return keras.Model(inputs, Dense(2, name="b")(x))


def subclassed():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.norm, self.second = Dense(4, name="a"), norm("n"), Dense(2, name="b")

        def call(self, inputs, training=False):
            return self.second(self.norm(self.first(inputs), training=training))

    model = Subclassed()
    model(np.ones((1, 3)))
    return model


def nested():
    """A model in a model: what follows it belongs to its last weight layer."""
    inner = keras.Sequential([Input((3,)), Dense(4, name="a")])
    return keras.Sequential([Input((3,)), inner, norm("n"), Dense(2, name="b")])


def nested_norm():
    """The normalisation inside, with the layer after it."""
    inner_input = Input((4,))
    inner = keras.Model(inner_input, Dense(2, name="b")(norm("n")(inner_input)))
    inputs = Input((3,))
    return keras.Model(inputs, inner(Dense(4, name="a")(inputs)))


def shared():
    """A layer used twice is one layer, where it is used first."""
    inputs = Input((4,))
    layer, after = Dense(4, name="a"), norm("n")
    return keras.Model(inputs, Dense(2, name="b")(layer(after(layer(inputs)))))


def shared_model():
    inner = keras.Sequential([Input((4,)), Dense(4, name="a"), norm("n")])
    inputs = Input((4,))
    return keras.Model(inputs, Dense(2, name="b")(inner(inner(inputs))))


def shared_between_models():
    """In both of two models inside the model."""
    layer = Dense(4, name="a")
    first = keras.Sequential([Input((4,)), layer, norm("n")])
    second = keras.Sequential([Input((4,)), layer, Dense(2, name="b")])
    return keras.Sequential([Input((4,)), first, second])


@pytest.mark.parametrize(
    "make",
    [
        sequential,
        functional,
        subclassed,
        nested,
        nested_norm,
        shared,
        shared_model,
        shared_between_models,
    ],
)
def test_models_of_every_make(make):
    assert paths(make()) == {
        "a": ["a/kernel", "a/bias", "n/gamma", "n/beta"],
        "b": ["b/kernel", "b/bias"],
    }


def test_vectors_before_the_first_weight_layer_belong_to_it():
    layers = [norm("m"), norm("n"), Dense(2, name="a"), Dense(2, name="b")]
    model = keras.Sequential([Input((3,)), *layers])
    assert paths(model) == {
        "a": ["m/gamma", "m/beta", "n/gamma", "n/beta", "a/kernel", "a/bias"],
        "b": ["b/kernel", "b/bias"],
    }


def test_a_frozen_layer_is_no_stage():
    model = sequential()
    model.get_layer("a").trainable = False
    assert paths(model) == {"b": ["n/gamma", "n/beta", "b/kernel", "b/bias"]}


def test_wrapped_layers_are_found():
    inner = keras.layers.TimeDistributed(Dense(4, name="a"))
    model = keras.Sequential([Input((5, 3)), inner, norm("n"), Dense(2, name="b")])
    assert list(paths(model)) == ["a", "b"]


def test_weights_of_a_layer_around_others_are_not_lost():
    """A wrapper's vector goes with the layer inside, a model's own matrix is a stage."""

    class Scaled(keras.layers.Layer):
        def __init__(self, inner, **kwargs):
            super().__init__(**kwargs)
            self.inner = inner

        def build(self, shape):
            self.factor = self.add_weight(name="factor", shape=(4,), initializer="ones")
            self.inner.build(shape)

        def call(self, inputs):
            return self.inner(inputs) * self.factor

    class Projected(keras.Model):
        def __init__(self):
            super().__init__(name="projected")
            self.first, self.second = Scaled(Dense(4, name="a"), name="s"), Dense(2, name="b")
            self.matrix = self.add_weight(name="matrix", shape=(2, 2))

        def call(self, inputs):
            return self.second(self.first(inputs)) @ self.matrix

    model = Projected()
    model(np.ones((1, 3)))
    assert paths(model) == {
        "a": ["a/kernel", "a/bias", "s/factor"],
        "b": ["b/kernel", "b/bias"],
        "projected": ["projected/matrix"],
    }


@pytest.mark.parametrize("layers", [[], [norm]], ids=["no weights", "vectors only"])
def test_a_model_without_weight_layers_is_an_error(layers):
    model = keras.Sequential(
        [Input((3,)), keras.layers.ReLU(), *(layer("n") for layer in layers)], name="bare"
    )
    with pytest.raises(ValueError, match=r"no layer with a trainable matrix.*model 'bare'"):
        stages(model)
