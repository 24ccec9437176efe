"""Registers every layer with Keras, which then opens saved models that hold one.

Whatever part of bnkit loads Keras imports this module.
"""

from bnkit import backend

backend.require_tensorflow()
backend.choose_kernels()

from bnkit.layers import (  # noqa: E402  not before the backend is known to be right
    batch_norm,
    comparators,
    lp_norm,
    noise,
    weight_norm,
)

__all__ = ["batch_norm", "comparators", "lp_norm", "noise", "weight_norm"]
