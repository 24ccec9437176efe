"""What is added to a token for its row and its column."""

import math

import keras
import numpy as np
import pytest

from bnkit.models.positions import SineCosinePositions


def test_sines_and_cosines_of_column_and_row():
    """12 channels: three frequencies, 1, 1/100 and 1/10000, for each quarter."""
    x = np.random.default_rng(0).normal(size=(2, 6, 12)).astype("float32")
    added = np.asarray(SineCosinePositions((2, 3))(x)) - x
    for token in range(6):
        row, column = divmod(token, 3)
        wanted = [
            function(position / 100**i)
            for position in (column, row)
            for function in (math.sin, math.cos)
            for i in range(3)
        ]
        for sample in added:
            np.testing.assert_allclose(sample[token], wanted, atol=1e-6)


def test_it_has_no_weights_and_comes_back_from_its_configuration():
    layer = SineCosinePositions.from_config(SineCosinePositions((2, 2), name="mine").get_config())
    assert layer(keras.Input((4, 4))).shape == (None, 4, 4)
    assert (layer.name, tuple(layer.grid), layer.weights) == ("mine", (2, 2), [])


def test_channels_must_be_in_four_parts():
    with pytest.raises(ValueError, match=r"multiple of 4\. Received: input_shape=\(None, 4, 6\)"):
        SineCosinePositions((2, 2))(keras.Input((4, 6)))
