"""What the families of classifiers share."""

import keras
import numpy as np
import pytest

from bnkit.models import classifier


def test_units_are_scaled_and_there_is_one_at_least():
    assert [classifier.scaled(64, width) for width in (0.25, 0.13, 1e-6, 2)] == [16, 8, 1, 128]


def test_logits_are_a_dense_layer_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, classifier.logits(inputs, 4, keras.initializers.Constant(2.0)))
    assert model.output.dtype == "float32" and model.layers[-1].name == "logits"
    np.testing.assert_array_equal(model(np.ones((1, 3))), [[6.0] * 4])


@pytest.mark.parametrize("width", [0, -1.0, float("nan")])
def test_a_width_that_is_not_valid(width):
    with pytest.raises(ValueError, match=rf"`width` must be > 0\. Received: width={width}"):
        classifier.check_width(width)


@pytest.mark.parametrize("shape", [(8,), (8, 8), (2, 8, 8, 1)])
def test_what_is_no_image_is_refused(shape):
    classifier.check_images((8, 8, 1))
    with pytest.raises(ValueError, match=r"shape \(height, width, channels\).*input_shape=\(\d"):
        classifier.check_images(shape)
