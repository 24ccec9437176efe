"""Independent references in NumPy, in float64: what the layers and probes are held against."""

from typing import NamedTuple

import numpy as np


class BatchNormResult(NamedTuple):
    """What `batch_norm` calculates."""

    outputs: np.ndarray
    normalized: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


def rows_of(x, axis=-1, mask=None):
    """A masked array `[values, units]`: where the mask, which covers leading axes, is True."""
    x = np.asarray(x, np.float64)
    counted = np.ones(x.shape, bool)
    if mask is not None:
        mask = np.asarray(mask, bool)
        counted &= mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))
    x, counted = (
        np.moveaxis(values, axis, -1).reshape(-1, x.shape[axis]) for values in (x, counted)
    )
    return np.ma.array(x, mask=~counted)


def batch_norm(x, gamma=1.0, beta=0.0, epsilon=1e-5, axis=-1, mask=None):
    """Training-mode batch normalisation over all axes of `x` but `axis`; biased variance."""
    rows = rows_of(x, axis, mask)
    mean = rows.mean(0).filled(np.nan)
    variance = ((rows - mean) ** 2).mean(0).filled(np.nan)
    units = np.moveaxis(np.asarray(x, np.float64), axis, -1)
    normalized = (units - mean) / np.sqrt(variance + epsilon)
    outputs = normalized * gamma + beta
    back = [np.moveaxis(values, -1, axis) for values in (outputs, normalized)]
    return BatchNormResult(*back, mean, variance)


def batch_norm_inference(x, gamma, beta, mean, variance, epsilon=1e-5, axis=-1):
    """Batch normalisation with given statistics."""
    units = np.moveaxis(np.asarray(x, np.float64), axis, -1)
    outputs = (units - mean) / np.sqrt(variance + epsilon) * gamma + beta
    return np.moveaxis(outputs, -1, axis)


def batch_norm_gradient(output_gradient, x, gamma=1.0, epsilon=1e-5, axis=-1):
    """`(input gradient, gamma gradient, beta gradient)` of training-mode batch normalisation."""
    result = batch_norm(x, epsilon=epsilon, axis=axis)
    gradient = np.moveaxis(np.asarray(output_gradient, np.float64), axis, -1)
    normalized = np.moveaxis(result.normalized, axis, -1)
    others = tuple(range(gradient.ndim - 1))
    by_gamma = (gradient * normalized).sum(others)
    by_beta = gradient.sum(others)
    count = gradient[..., 0].size
    by_input = (gradient - by_beta / count - normalized * by_gamma / count) * (
        gamma / np.sqrt(result.variance + epsilon)
    )
    return np.moveaxis(by_input, -1, axis), by_gamma, by_beta


class LpNormResult(NamedTuple):
    """What `lp_norm` calculates."""

    outputs: np.ndarray
    mean: np.ndarray
    size: np.ndarray


def lp_norm(x, p, gamma=1.0, beta=0.0, epsilon=1e-5, axis=-1, mask=None):
    """Training-mode Lp normalisation over all axes of `x` but `axis`; p may be "inf"."""
    rows = rows_of(x, axis, mask)
    mean, rows = rows.mean(0).filled(np.nan), np.abs(rows)
    largest = rows.max(0).filled(np.nan)
    if p == "inf":
        size = largest
    else:
        # The logarithm keeps every power in range; a unit of zeros has size 0.
        with np.errstate(divide="ignore", invalid="ignore"):
            powers = np.ma.array(np.exp(p * np.log(rows.data / largest)), mask=rows.mask)
            size = np.where(largest > 0, largest * powers.mean(0).filled(np.nan) ** (1 / p), 0)
    outputs = lp_norm_inference(x, gamma, beta, mean, size, epsilon, axis)
    return LpNormResult(outputs, mean, size)


def lp_norm_inference(x, gamma, beta, mean, size, epsilon=1e-5, axis=-1):
    """Lp normalisation with given statistics."""
    units = np.moveaxis(np.asarray(x, np.float64), axis, -1)
    return np.moveaxis(gamma * (units - mean) / (size + epsilon) + beta, -1, axis)


def group_norm(x, groups, gamma=1.0, beta=0.0, epsilon=1e-5):
    """Per sample and group of channels, over the group and all positions; channels last."""
    x = np.asarray(x, np.float64)
    outputs = np.empty_like(x)
    for sample in range(len(x)):
        for channels in np.split(np.arange(x.shape[-1]), groups):
            values = x[sample][..., channels]
            outputs[sample][..., channels] = (values - values.mean()) / np.sqrt(
                values.var() + epsilon
            )
    return outputs * gamma + beta


def rms_norm(x, gamma=1.0, epsilon=1e-5):
    """Root mean square over the last axis, nothing subtracted."""
    x = np.asarray(x, np.float64)
    return gamma * x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon)


def weight_norm(v, g):
    """The kernel `g v / ||v||`, unit by unit; units on the last axis."""
    v = np.asarray(v, np.float64)
    columns = [g[j] * v[..., j] / np.linalg.norm(v[..., j].ravel()) for j in range(v.shape[-1])]
    return np.stack(columns, -1)


def linear(x, kernel, bias):
    """A dense layer, or a convolution without padding, by the rank of the kernel."""
    x = np.asarray(x, np.float64)
    if kernel.ndim == 2:
        return x @ kernel + bias
    height, width = (
        size - span + 1 for size, span in zip(x.shape[1:3], kernel.shape[:2], strict=True)
    )
    return bias + sum(
        x[:, i : i + height, j : j + width] @ kernel[i, j] for i, j in np.ndindex(kernel.shape[:2])
    )


def kolmogorov_smirnov(values, low, high):
    """Largest distance of the empirical distribution from the uniform one on [low, high]."""
    values = np.clip((np.sort(np.ravel(values)) - low) / (high - low), 0, 1)
    steps = np.arange(len(values) + 1) / len(values)
    return max(np.abs(values - steps[1:]).max(), np.abs(values - steps[:-1]).max())


def moving_average(start, values, momentum):
    """`moving <- momentum * moving + (1 - momentum) * value` over a sequence of values."""
    moving = np.asarray(start, np.float64)
    for value in values:
        moving = momentum * moving + (1 - momentum) * np.asarray(value, np.float64)
    return moving


def central_differences(function, x, step=1e-5):
    """Gradient of a scalar function at `x`, each entry from two evaluations."""
    x = np.asarray(x, np.float64)
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        shift = np.zeros_like(x)
        shift[index] = step
        gradient[index] = (function(x + shift) - function(x - shift)) / (2 * step)
    return gradient


def norm(tensors):
    """Euclidean norm of a list of arrays taken together."""
    return np.sqrt(sum(np.sum(np.asarray(t, np.float64) ** 2) for t in tensors))


def error(actual, expected):
    """Largest deviation, relative to the largest magnitude expected; shapes must be equal."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    return np.abs(actual - expected).max() / np.abs(expected).max()
