"""Where in an image a token comes from."""

import keras
import numpy as np

_LONGEST = 10_000


@keras.saving.register_keras_serializable(package="bnkit")
class SineCosinePositions(keras.layers.Layer):
    """Adds sines and cosines of the row and the column, at many frequencies; nothing is trained.

    As in the plain vision transformer of Beyer et al. (2022, arXiv 2205.01580). Channels are
    quarters of sine and cosine of the column, sine and cosine of the row, at the frequencies
    `10000^(-i / (n - 1))`, i from 0 to n - 1, of the n channels of a quarter.

    Args:
        grid: `(rows, columns)` of tokens.
        others: Those of `keras.Layer`.

    Input: `[batch, rows * columns, channels]`, channels a multiple of 4; output: the same shape.
    """

    def __init__(self, grid, **kwargs):
        super().__init__(**kwargs)
        self.grid = tuple(grid)

    def build(self, input_shape):
        if input_shape[-1] % 4:
            raise ValueError(
                f"The channels must be a multiple of 4. Received: input_shape={tuple(input_shape)}"
            )
        self._values = _sines_and_cosines(*self.grid, input_shape[-1] // 4)

    def call(self, inputs):
        return inputs + keras.ops.cast(self._values, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "grid": self.grid}


def _sines_and_cosines(rows, columns, count):
    """`[rows * columns, 4 * count]`, float32."""
    frequencies = _LONGEST ** -(np.arange(count) / max(count - 1, 1))
    row, column = np.mgrid[:rows, :columns].reshape(2, -1, 1)
    angles = [column * frequencies, row * frequencies]
    parts = [function(angle) for angle in angles for function in (np.sin, np.cos)]
    return np.concatenate(parts, axis=1).astype("float32")
