"""The cost model: what a step and a capture have to calculate, from the way forward of a network.

`docs/cost.md` explains it, and `benchmarks/estimate.py` holds it against measured times.
"""

# The way back takes as much again for the inputs of each layer, and as much for its weights.
_STEP = 3

# Probe -> gradients at one capture, or training steps, each of which takes as much: `bnkit.kinds`
# says the same in words. Of the curvature it is the most: it may need fewer products.
GRADIENTS = {
    "landscape": lambda settings: len(settings.step_sizes) + 1,
    "ics": lambda settings: 3,
    "activations": lambda settings: 1,
    "random_landscape": lambda settings: len(settings.step_sizes) * settings.directions + 1,
    "curvature": lambda settings: 2.6 * 20 + 4,
    "gradient_noise": lambda settings: 8,
    "weights": lambda settings: 1,
    "batch_norm_identity": lambda settings: 1,
}


def step_flop(settings, forward_flop):
    """Floating-point operations of a training step, from those of one sample's way forward."""
    return _STEP * settings.batch_size * forward_flop


def capture_flop(settings, forward_flop):
    """Floating-point operations of all probes of a run measuring once."""
    gradients = sum(GRADIENTS[probe](settings) for probe in settings.probes)
    return gradients * step_flop(settings, forward_flop)
