"""Measurements of the optimisation landscape: pure functions of a Keras model.

Each computes at given weights through `model.stateless_call`, with the layers in training mode,
so that by construction no variable, moving average, optimizer slot or random state changes. They
run eagerly or inside a `tf.function`, and inside `strategy.run` on each replica's share of a
batch: the results are then those of the global batch, equal on all replicas.
"""

from bnkit.probes.ics import ICS, internal_covariate_shift
from bnkit.probes.landscape import Landscape, landscape
from bnkit.probes.stages import Stage, stages

__all__ = ["ICS", "Landscape", "Stage", "internal_covariate_shift", "landscape", "stages"]
