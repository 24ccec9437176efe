"""Every figure of a report, in a file of its name.

`ENTRY` of a file is what the report has to know: title, caption, source, and the records needed.
`ENTRY.draw(*frames)` gives the matplotlib Figure, `ENTRY.data(*frames)` exactly what it draws; the
frames are those of `ENTRY.kinds`, as from `load_runs`.
"""

from bnkit.report.figures import (
    accuracy,
    activation_drift,
    activation_ridges,
    batch_norm_identity,
    curvature,
    distance_over_step_size,
    edge_of_stability,
    gradient_noise,
    gradient_norm_over_depth,
    gradient_predictiveness,
    ics,
    largest_learning_rate,
    learning_rate_envelope,
    loss,
    loss_band,
    population_gap,
    radial_share,
    range_test,
    signal_propagation,
    smoothness,
    smoothness_map,
    time_spent,
    weights,
)

# In the order of the page.
FIGURES = (
    accuracy.ENTRY,
    loss.ENTRY,
    loss_band.ENTRY,
    gradient_predictiveness.ENTRY,
    smoothness.ENTRY,
    distance_over_step_size.ENTRY,
    loss_band.RANDOM,
    gradient_predictiveness.RANDOM,
    smoothness.RANDOM,
    ics.ENTRY,
    activation_ridges.ENTRY,
    activation_drift.ENTRY,
    signal_propagation.ENTRY,
    curvature.ENTRY,
    edge_of_stability.ENTRY,
    gradient_noise.ENTRY,
    weights.ENTRY,
    radial_share.ENTRY,
    gradient_norm_over_depth.ENTRY,
    batch_norm_identity.ENTRY,
    population_gap.ENTRY,
    largest_learning_rate.ENTRY,
    learning_rate_envelope.ENTRY,
    smoothness_map.ENTRY,
    range_test.ENTRY,
    time_spent.ENTRY,
)
