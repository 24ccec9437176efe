"""What the families of classifiers share: the layout of images, their units and their logits."""

import keras

from bnkit.models.stage import output_dtype

# That of the images, whatever Keras's configuration says.
DATA_FORMAT = "channels_last"


def check_images(input_shape):
    """Checks that inputs are images.

    Raises:
        ValueError: For another shape than `(height, width, channels)`.
    """
    if len(input_shape) != 3:
        raise ValueError(
            "The network takes images of shape (height, width, channels). "
            f"Received: input_shape={tuple(input_shape)}"
        )


def check_width(width):
    """Checks what the units of the layers are multiplied by.

    Raises:
        ValueError: For anything that is not above 0.
    """
    if not width > 0:
        raise ValueError(f"`width` must be > 0. Received: width={width!r}")


def scaled(units, width):
    """The units of a layer in a network that is `width` times as wide, at least one."""
    return max(1, round(units * width))


def logits(x, classes, initializer):
    """The last layer; for the type of its outputs see `output_dtype`."""
    layer = keras.layers.Dense(
        classes, kernel_initializer=initializer, dtype=output_dtype(), name="logits"
    )
    return layer(x)
