"""Attention against the definition, head by head."""

import keras
import numpy as np
import pytest
from reference import error

from bnkit.models.attention import Attention


def expected(query, key, value, heads):
    """`softmax(Q K' / sqrt(d)) V`, sample by sample and head by head."""
    size = query.shape[-1] // heads
    out = np.empty_like(query)
    for sample in range(len(query)):
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            scores = query[sample][:, own] @ key[sample][:, own].T / np.sqrt(size)
            shares = np.exp(scores)
            shares /= shares.sum(axis=1, keepdims=True)
            out[sample][:, own] = shares @ value[sample][:, own]
    return out


@pytest.mark.parametrize("heads", [1, 3])
def test_against_the_definition(heads):
    rng = np.random.default_rng(0)
    tensors = [rng.normal(size=(2, 5, 6)) for _ in range(3)]
    actual = Attention(heads)(*(tensor.astype("float32") for tensor in tensors))
    assert error(actual, expected(*tensors, heads)) < 1e-5


def test_it_has_no_weights_and_comes_back_from_its_configuration():
    layer = Attention.from_config(Attention(2, name="mine").get_config())
    inputs = keras.Input((5, 6))
    assert layer(inputs, inputs, inputs).shape == (None, 5, 6)
    assert (layer.name, layer.heads, layer.weights) == ("mine", 2, [])


def test_heads_must_divide_the_channels():
    inputs = keras.Input((5, 6))
    with pytest.raises(ValueError, match=r"heads=4, query_shape=\(None, 5, 6\)"):
        Attention(4)(inputs, inputs, inputs)
