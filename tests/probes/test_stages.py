"""Which weights form a layer of the study."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

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


# --- graphs that branch ---


def before(model, x=None):
    """`{stage: names of those before it}`."""
    found = stages(model, x)
    return {stage.name: [found[i].name for i in stage.before] for stage in found}


def number(path):
    """The number in the name of a layer of bnkit's models; the logits are the last."""
    found = re.search(r"(\d+)/\w+$", path)
    return int(found[1]) if found else np.inf


BRANCHING = [
    lambda norm, place: models.resnet(
        norm, width=1 / 8, input_shape=(4, 4, 1), norm_place=place, classes=3
    ),
    lambda norm, place: models.vision_transformer(
        norm, 2, width=1 / 8, input_shape=(4, 4, 1), norm_place=place, classes=3
    ),
]


@pytest.mark.parametrize("make", BRANCHING, ids=["resnet", "vit"])
@pytest.mark.parametrize("norm", ["none", "bn", "layer", "weight"])
@pytest.mark.parametrize("place", ["post", "pre"])
def test_models_of_bnkit_say_in_their_names_what_belongs_together(make, norm, place):
    """A normalisation has the number of its weight layer; query, key and value do not move."""
    model = make(norm, place)
    found = stages(model)
    positions = [p for stage in found for p in stage.positions]
    assert sorted(positions) == list(range(len(model.trainable_variables)))
    for place_of, stage in enumerate(found):
        own = {number(model.trainable_variables[p].path) for p in stage.positions}
        assert own == ({place_of + 1} if stage is not found[-1] else {np.inf}), stage.name
        kinds = [other.name.rstrip("0123456789") for other in found[:place_of]]
        beside = {"key": 1, "value": 2}.get(stage.name.rstrip("0123456789"), 0)
        assert stage.before == tuple(range(place_of - beside))
        assert kinds[place_of - beside :] == ["query", "key"][:beside]
    assert [stage.name for stage in found][-1] == "logits"


def test_a_shortcut_and_its_branch_are_side_by_side():
    """Each normalisation belongs to the weight layer on its own path, the last to the last."""
    inputs = Input((3,))
    x = Dense(4, name="stem")(inputs)
    branch = norm("n2")(Dense(4, name="b")(norm("n1")(Dense(4, name="a")(x))))
    shortcut = norm("ns")(Dense(4, name="s")(x))
    outputs = Dense(2, name="head")(norm("n3")(branch + shortcut))
    found = paths(keras.Model(inputs, outputs))
    assert found["a"][2:] == ["n1/gamma", "n1/beta"] and found["s"][2:] == ["ns/gamma", "ns/beta"]
    assert found["b"][2:4] == ["n2/gamma", "n2/beta"]
    last = list(found)[-2]
    assert found[last][-2:] == ["n3/gamma", "n3/beta"] and last in ("b", "s")
    assert {k: sorted(v) for k, v in before(keras.Model(inputs, outputs)).items()} == {
        "stem": [],
        "a": ["stem"],
        "s": ["stem"],
        "b": ["a", "stem"],
        "head": ["a", "b", "s", "stem"],
    }


def test_keras_attention():
    inputs = Input((5, 4))
    x = Dense(4, name="embed")(inputs)
    attention = keras.layers.MultiHeadAttention(2, 2, name="attention")
    model = keras.Model(inputs, Dense(2, name="head")(x + attention(norm("n")(x), x)))
    assert before(model) == {
        "embed": [],
        "query": ["embed"],
        "key": ["embed"],
        "value": ["embed"],
        "attention_output": ["embed", "query", "key", "value"],
        "head": ["embed", "query", "key", "value", "attention_output"],
    }
    assert paths(model)["embed"][2:] == ["n/gamma", "n/beta"]


def test_layers_of_one_name_are_told_apart_by_their_paths():
    inputs = Input((5, 4))
    x = keras.layers.MultiHeadAttention(1, 2, name="first")(inputs, inputs)
    x = keras.layers.MultiHeadAttention(1, 2, name="second")(x, x)
    names = [stage.name for stage in stages(keras.Model(inputs, x))]
    kinds = ("query", "key", "value", "attention_output")
    assert sorted(names) == sorted(f"{of}/{kind}" for of in ("first", "second") for kind in kinds)


class Residual(keras.Model):
    """Two inputs' branches, a sum in code, and layers listed in another order than called."""

    def __init__(self):
        super().__init__()
        self.head, self.norm = Dense(2, name="head"), norm("n")
        self.right, self.left = Dense(4, name="right"), Dense(4, name="left")
        self.unused = Dense(4, name="unused")
        self.unused.build((None, 4))

    def call(self, inputs, training=False):
        x = self.left(inputs["a"]) * 2
        x = self.norm(x, training=training) + self.right(inputs["b"])
        return self.head(x)


def test_a_subclassed_model_by_its_call():
    """In the order of the calls; a layer that is not called comes last, alone."""
    model, x = Residual(), {"a": np.ones((2, 3)), "b": np.ones((2, 5), "float32")}
    model(x)
    expected = {"left": [], "right": [], "head": ["left", "right"], "unused": []}
    assert before(model, x) == expected
    specs = {name: tf.TensorSpec((None, values.shape[1])) for name, values in x.items()}
    assert before(model, specs) == expected
    stage = next(stage for stage in stages(model, x) if stage.name == "left")
    names = [model.trainable_variables[p].path.split("/")[-2] for p in stage.positions]
    assert sorted(names) == ["left", "left", "n", "n"]
    assert list(before(model)) == ["head", "right", "left", "unused"]


def test_in_a_loop_layers_come_as_listed():
    inputs = Input((6, 3))
    cells = [keras.layers.SimpleRNNCell(4, name=name) for name in ("first", "second")]
    x = keras.layers.RNN(cells)(Dense(5, name="embed")(inputs))
    model = keras.Model(inputs, Dense(2, name="head")(x))
    assert before(model) == {
        "embed": [],
        "first": ["embed"],
        "second": ["embed", "first"],
        "head": ["embed", "first", "second"],
    }


def test_of_a_product_of_matrices_the_first_comes_first():

    class LowRank(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.a = keras.layers.EinsumDense("bi,ij->bj", 2, name="down")
            self.b = keras.layers.EinsumDense("bi,ij->bj", 3, name="up")
            self.a.build((None, 4))
            self.b.build((None, 2))

        def call(self, x):
            return x @ (self.a.kernel @ self.b.kernel)

    inputs = Input((6, 3))
    x = keras.layers.LSTM(4, name="lstm")(inputs)
    model = keras.Model(inputs, Dense(2, name="head")(LowRank()(x)))
    expected = {
        "lstm_cell": [],
        "down": ["lstm_cell"],
        "up": ["lstm_cell", "down"],
        "head": ["lstm_cell", "down", "up"],
    }
    assert before(model) == expected


def test_half_precision_and_shapes_do_not_hide_or_join_anything():
    keras.config.set_dtype_policy("mixed_bfloat16")
    inputs = Input((3,))

    class Counted(keras.layers.Layer):
        def call(self, x, other):
            return x * tf.cast(tf.shape(other)[0], x.dtype)

    a, b = Dense(4, name="a")(inputs), Dense(4, name="b")(inputs)
    c = Dense(4, name="c")(Counted()(a, b))
    found = before(keras.Model(inputs, Dense(2, name="d")(c + b)))
    assert {name: sorted(names) for name, names in found.items()} == {
        "a": [],
        "b": [],
        "c": ["a"],
        "d": ["a", "b", "c"],
    }


@pytest.mark.parametrize("layers", [[], [norm]], ids=["no weights", "vectors only"])
def test_a_model_without_weight_layers_is_an_error(layers):
    model = keras.Sequential(
        [Input((3,)), keras.layers.ReLU(), *(layer("n") for layer in layers)], name="bare"
    )
    with pytest.raises(ValueError, match=r"no layer with a trainable matrix.*model 'bare'"):
        stages(model)


def test_weight_layers_of_one_name_are_told_apart_by_where_they_are():
    """Keras itself calls layers "query" or "lstm_cell", once in each layer around them."""
    inputs = Input((3, 4))
    attention = [keras.layers.MultiHeadAttention(1, 2, name=name) for name in ("first", "second")]
    x = attention[0](inputs, inputs)
    outputs = Dense(2, name="head")(attention[1](x, x))
    names = [stage.name for stage in stages(keras.Model(inputs, outputs))]
    inside = ["query", "key", "value", "attention_output"]
    assert names == [f"{outer}/{one}" for outer in ("first", "second") for one in inside] + ["head"]


def test_weight_layers_of_one_name_in_one_place_are_numbered():
    class Twice(keras.Model):
        def __init__(self):
            super().__init__(name="twice")
            self.inner = [Dense(3, name="same"), Dense(3, name="same")]

        def call(self, x):
            return self.inner[1](self.inner[0](x))

    model = Twice()
    model(np.ones((2, 3)))
    assert [stage.name for stage in stages(model)] == ["twice/same_0", "twice/same_1"]
