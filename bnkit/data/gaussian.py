"""The regression data of the deep linear network: `A x` from `x`, both standard Gaussian."""

from dataclasses import dataclass

import numpy as np

from bnkit.data.dataset import Samples, fingerprint


@dataclass(frozen=True, eq=False)
class Regression:
    """The counterpart of `Dataset` for regression: inputs and targets are float32, `[n, dim]`.

    Attributes:
        name, train, test, fingerprint: As in `Dataset`.
    """

    name: str
    train: Samples
    test: Samples
    fingerprint: str

    classes = None

    @property
    def input_shape(self):
        """`(dim,)`."""
        return self.train.x.shape[1:]

    def prepare(self, x):
        """The inputs are used as they are."""
        return x


def load_gaussian(samples, dim, seed):
    """Draws x and A with independent standard Gaussian entries; y is A x (paper, Fig 5).

    Args:
        samples: Number of training samples, and of test samples, which have the same A. In the
            study every batch consists of all training samples.
        dim: Length of x and of y.
        seed: Determines the samples and A.
    """
    generator = np.random.default_rng(seed)
    matrix = generator.standard_normal([dim, dim])

    def split():
        x = generator.standard_normal([samples, dim])
        return Samples(x.astype(np.float32), (x @ matrix.T).astype(np.float32))

    train, test = split(), split()
    return Regression("gaussian", train, test, fingerprint(train, test))
