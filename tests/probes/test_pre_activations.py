"""What is found inside models of every make, and that they are left as they were."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import error

from bnkit import models
from bnkit.layers import BatchNorm
from bnkit.probes.pre_activations import pre_activations

Dense, Input, ReLU = keras.layers.Dense, keras.Input, keras.layers.ReLU


def captured(model, x):
    """`{name: array}`, once it is sure that a graph gives the same."""
    weights = [v.value for v in model.trainable_variables]
    state = [v.value for v in model.non_trainable_variables]
    found = pre_activations(model, weights, state, x)
    names = [name for name, *_ in found]
    in_graph = tf.function(
        lambda x: [tensor for _, tensor, _ in pre_activations(model, weights, state, x)],
        autograph=False,
    )(x)
    for (_, eager, _), graph in zip(found, in_graph, strict=True):
        np.testing.assert_allclose(
            tf.cast(eager, tf.float32), tf.cast(graph, tf.float32), atol=1e-3
        )
    assert len(set(names)) == len(names)
    return {name: tensor.numpy().astype("float64") for name, tensor, _ in found}


def values_of(model, tensors, x):
    """Symbolic tensors of a functional model on a batch, in training mode."""
    part = keras.Model(model.input, tensors)
    state = part.non_trainable_variables
    outputs, _ = part.stateless_call(part.trainable_variables, state, x, training=True)
    return tf.nest.flatten(outputs)


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert error(found[name], values) < 1e-5, name


def rows(samples=6, features=4, seed=0):
    return np.random.default_rng(seed).normal(size=(samples, features)).astype("float32")


def relu(x):
    return np.maximum(x, 0)


def dense(layer, x):
    return x @ layer.kernel.numpy().astype("float64") + layer.bias.numpy()


@pytest.mark.parametrize("norm", ["none", "bn", "noisy_bn", "weight"])
def test_a_vgg_gives_what_its_non_linearities_get(norm):
    model = models.vgg(norm, width=1 / 64, input_shape=(4, 4, 3), seed=0)
    x = np.random.default_rng(0).normal(size=(8, 4, 4, 3)).astype("float32")
    wanted = [model.get_layer(f"relu{i}").input for i in range(1, 11)] + [model.output]
    names = [f"conv{i}" for i in range(1, 9)] + ["dense9", "dense10", "logits"]
    expected = dict(zip(names, values_of(model, wanted, x), strict=True))
    assert_same(captured(model, x), expected)


@pytest.mark.parametrize("norm", ["none", "bn", "group"])
@pytest.mark.parametrize("place", ["post", "pre"])
@pytest.mark.parametrize("skip", [True, False])
def test_a_residual_network_gives_the_sums_and_what_is_within_a_block(norm, place, skip):
    model = models.resnet(
        norm, width=1 / 8, input_shape=(5, 4, 3), norm_place=place, skip=skip, seed=0
    )
    x = np.random.default_rng(0).normal(size=(8, 5, 4, 3)).astype("float32")
    wanted = [model.get_layer(f"relu{i}").input for i in range(1, 20)] + [model.output]
    names = [f"conv{i}" for i in range(1, 20)] + ["logits"]
    assert_same(captured(model, x), dict(zip(names, values_of(model, wanted, x), strict=True)))


@pytest.mark.parametrize("norm", ["none", "bn", "layer"])
@pytest.mark.parametrize("place", ["post", "pre"])
def test_a_vision_transformer_gives_what_attention_and_non_linearities_get(norm, place):
    """Where a weight layer follows, its input: that is what a branch begins with."""
    model = models.vision_transformer(
        norm, 2, width=1 / 8, input_shape=(8, 4, 3), norm_place=place, seed=0
    )
    x = np.random.default_rng(0).normal(size=(6, 8, 4, 3)).astype("float32")
    wanted = {"dense1": model.get_layer("query2").input}
    for first in (2, 8):
        names = f"query{first}", f"key{first + 1}", f"value{first + 2}"
        wanted |= {name: model.get_layer(name).output for name in names}
        wanted[f"project{first + 3}"] = model.get_layer(f"dense{first + 4}").input
        wanted[f"dense{first + 4}"] = model.get_layer(f"gelu{first + 4}").input
        after = "logits" if first == 8 else "query8"
        wanted[f"dense{first + 5}"] = model.get_layer(after).input
    wanted["logits"] = model.output
    values = values_of(model, list(wanted.values()), x)
    assert_same(captured(model, x), dict(zip(wanted, values, strict=True)))


@pytest.mark.parametrize("norm_last", [False, True])
def test_a_linear_network_gives_the_outputs_of_its_stages(norm_last):
    model = models.deep_linear("bn", depth=3, dim=4, norm_last=norm_last, seed=0)
    ends = ["norm1", "norm2", "norm3" if norm_last else "dense3"]
    values = values_of(model, [model.get_layer(name).output for name in ends], rows())
    expected = dict(zip(["dense1", "dense2", "dense3"], values, strict=True))
    assert_same(captured(model, rows()), expected)


@pytest.mark.parametrize("activation", ["relu", keras.activations.tanh, keras.layers.LeakyReLU])
def test_an_activation_of_the_weight_layer_itself(activation):
    activation = activation() if isinstance(activation, type) else activation
    first, second = Dense(5, activation=activation, name="a"), Dense(2, name="b")
    model = keras.Sequential([Input((4,)), first, second])
    expected = {"a": dense(first, rows()), "b": model(rows())}
    assert_same(captured(model, rows()), expected)


LAYERS = keras.layers
NON_LINEARITIES = [
    lambda: LAYERS.ReLU(),
    lambda: LAYERS.LeakyReLU(),
    lambda: LAYERS.ELU(),
    lambda: LAYERS.Softmax(),
    lambda: LAYERS.PReLU(),
    lambda: LAYERS.Activation("silu"),
    lambda: LAYERS.Activation(LAYERS.ReLU()),
    lambda: keras.ops.relu,
    lambda: keras.ops.tanh,
]


@pytest.mark.parametrize("make", NON_LINEARITIES)
def test_every_non_linearity_is_seen(make):
    """Past what is linear: a linear Activation, Dropout, an operation."""
    first, second = Dense(5, name="a"), Dense(2, name="b")
    inputs = Input((4,))
    x = LAYERS.Activation("linear")(LAYERS.Identity()(first(inputs)))
    outputs = second(LAYERS.Dropout(0.5)(make()(2 * x)))
    found = captured(keras.Model(inputs, outputs), rows())
    assert list(found) == ["a", "b"]
    assert error(found["a"], 2 * dense(first, rows())) < 1e-6


def test_past_pooling_and_flattening_up_to_the_next_weight_layer():
    inputs = Input((4, 4, 2))
    x = LAYERS.Conv2D(3, 3, name="a")(inputs)
    x = flat = LAYERS.Flatten()(LAYERS.MaxPooling2D()(x))
    model = keras.Model(inputs, Dense(2, name="b")(x))
    images = np.random.default_rng(0).normal(size=(5, 4, 4, 2)).astype("float32")
    assert_same(
        captured(model, images), {"a": values_of(model, [flat], images)[0], "b": model(images)}
    )


class Subclassed(keras.Model):
    """A stem, two residual blocks, and code between the layers; nothing of it is functional."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stem = Dense(4, name="stem")
        self.blocks = [(Dense(4, name=f"a{i}"), Dense(4, name=f"b{i}")) for i in range(2)]
        self.act = ReLU()
        self.head = Dense(3, name="head")

    def call(self, inputs, training=False):
        x = self.act(self.stem(inputs))
        for first, second in self.blocks:
            x = self.act(second(self.act(first(x))) + x)
        return self.head(x)


def test_a_subclassed_residual_network():
    """The non-linearity after a block gets the sum, which no layer calculates."""
    model = Subclassed()
    model(rows())
    expected = {"stem": dense(model.stem, rows())}
    x = relu(expected["stem"])
    for i, (first, second) in enumerate(model.blocks):
        expected[f"a{i}"] = dense(first, x)
        expected[f"b{i}"] = dense(second, relu(expected[f"a{i}"])) + x
        x = relu(expected[f"b{i}"])
    expected["head"] = dense(model.head, x)
    assert_same(captured(model, rows()), expected)


def test_branches_are_told_apart():
    """Layers of two branches take turns: each weight layer has the non-linearity of its own."""
    inputs = Input((4,))
    a, b = Dense(5, name="a"), Dense(5, name="b")
    left, right = LAYERS.LayerNormalization(name="left"), ReLU()
    joined = LAYERS.Add()([ReLU()(left(a(inputs))), right(b(inputs))])
    model = keras.Model(inputs, Dense(2, name="c")(joined))
    found = captured(model, rows())
    assert error(found["a"], values_of(model, [left.output], rows())[0]) < 1e-6
    assert error(found["b"], dense(b, rows())) < 1e-6
    assert found["c"].shape == (6, 2)


def test_code_between_layers_does_not_join_branches():
    """A non-linearity called right after `a` gets what code made of something else."""

    class Branches(keras.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = Dense(4, name="a"), Dense(4, name="b")
            self.left, self.right = ReLU(), keras.layers.ELU()

        def call(self, inputs, training=False):
            a = self.a(inputs)
            other = self.left(inputs * 3)
            return self.b(self.right(a) + other)

    model = Branches()
    model(rows())
    assert_same(captured(model, rows()), {"a": dense(model.a, rows()), "b": model(rows())})


def test_nested_models():
    """The non-linearity inside the next model, the weight layer inside the one before."""
    first, second = Dense(5, name="a"), Dense(5, name="b")
    inner = keras.Sequential([Input((4,)), keras.Sequential([Input((4,)), first])])
    inner_input = Input((5,))
    norm = LAYERS.LayerNormalization(name="norm")
    tail = keras.Model(inner_input, second(ReLU()(norm(inner_input))))
    inputs = Input((4,))
    model = keras.Model(inputs, tail(inner(inputs)))
    normalised = norm(dense(first, rows()).astype("float32")).numpy()
    expected = {"a": normalised, "b": dense(second, relu(normalised))}
    assert_same(captured(model, rows()), expected)


def test_of_a_layer_called_twice_the_first_call_counts():
    layer, act = Dense(4, name="a"), ReLU()
    inputs = Input((4,))
    model = keras.Model(inputs, Dense(2, name="b")(act(layer(act(layer(inputs))))))
    found = captured(model, rows())
    assert list(found) == ["a", "b"]
    assert error(found["a"], dense(layer, rows())) < 1e-6


def test_an_attention_block():
    """Queries, keys and values give their own outputs; the projections, what is normalised."""
    inputs = tokens = Input((7,), dtype="int32")
    x = LAYERS.Embedding(11, 6, name="embedding")(tokens)
    attention = LAYERS.MultiHeadAttention(2, 3, name="attention")
    x = first = LAYERS.LayerNormalization()(LAYERS.Add()([x, attention(x, x)]))
    x = hidden = Dense(8, name="up")(x)
    x = Dense(6, name="down")(LAYERS.Activation("gelu")(x))
    x = second = LAYERS.LayerNormalization()(LAYERS.Add()([first, x]))
    model = keras.Model(inputs, Dense(2, name="head")(x))
    batch = np.random.default_rng(0).integers(0, 11, (5, 7))
    found = captured(model, batch)
    heads = {name: found.pop(name).shape for name in ("query", "key", "value")}
    assert heads == dict.fromkeys(("query", "key", "value"), (5, 7, 2, 3))
    assert list(found) == ["embedding", "attention_output", "up", "down", "head"]
    first, hidden, second = values_of(model, [first, hidden, second], batch)
    assert error(found["attention_output"], first) < 1e-5
    assert error(found["up"], hidden) < 1e-5
    assert error(found["down"], second) < 1e-5
    assert error(found["head"], model(batch)) < 1e-5


@pytest.mark.parametrize(
    "wrap",
    [
        lambda: LAYERS.LSTM(4, return_sequences=True),
        lambda: LAYERS.TimeDistributed(Dense(4, name="a")),
    ],
)
def test_layers_in_a_loop_over_time_are_measured_around_the_loop(wrap):
    loop, head = wrap(), Dense(2, name="head")
    inputs = Input((5, 3))
    model = keras.Model(inputs, head(loop(inputs)))
    x = np.random.default_rng(0).normal(size=(6, 5, 3)).astype("float32")
    found = captured(model, x)
    (around, last) = found.values()
    assert error(around, values_of(model, [loop.output], x)[0]) < 1e-5
    assert error(last, model(x)) < 1e-5


def test_a_matrix_of_the_model_itself_gives_its_outputs():
    class Projected(keras.Model):
        def __init__(self):
            super().__init__(name="projected")
            self.first = Dense(4, name="a")
            self.matrix = self.add_weight(name="matrix", shape=(4, 2))

        def call(self, inputs, training=False):
            return self.first(inputs) @ self.matrix

    model = Projected()
    model(rows())
    assert_same(
        captured(model, rows()), {"a": dense(model.first, rows()), "projected": model(rows())}
    )


def test_a_layer_that_is_not_called_is_left_out():
    class Unused(keras.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = Dense(4, name="a"), Dense(2, name="b")

        def build(self, shape):
            self.a.build(shape)
            self.b.build(shape)

        def call(self, inputs, training=False):
            return self.b(inputs)

    model = Unused()
    model(rows())
    assert list(captured(model, rows())) == ["b"]


@pytest.mark.parametrize("last", [None, "float32"], ids=["as the others", "float32"])
def test_mixed_precision(last):
    """Between types tensors are cast, on the way from layer to layer."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    first, norm = Dense(5, name="a"), BatchNorm(name="norm")
    inputs = Input((4,))
    act = LAYERS.Activation("relu", dtype=last)
    model = keras.Model(inputs, Dense(2, name="b", dtype="float32")(act(norm(first(inputs)))))
    found = captured(model, rows())
    expected = values_of(model, [norm.output], rows())[0]
    assert expected.dtype == tf.bfloat16
    assert error(found["a"], expected.numpy().astype("float64")) < 1e-2
    # Normalised: not what the weight layer itself gives.
    assert error(found["a"].mean(0) + 1, np.ones(5)) < 1e-2
    assert found["b"].shape == (6, 2)
