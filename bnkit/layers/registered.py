"""Registers every layer with Keras, which then opens saved models that hold one.

Whatever part of bnkit loads Keras imports this module.
"""

from bnkit.layers import batch_norm, comparators, lp_norm, noise, weight_norm

__all__ = ["batch_norm", "comparators", "lp_norm", "noise", "weight_norm"]
