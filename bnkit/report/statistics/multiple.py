"""Many comparisons at once."""


def holm(p_values):
    """Holm's adjusted p-values: each is the level at which its comparison survives all the others.

    Args:
        p_values: Numbers from 0 to 1.

    Returns:
        A list of numbers in the same order.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    # statsmodels comes with much else, and only a report of several arms needs it.
    from statsmodels.stats.multitest import multipletests

    if not p_values:
        return []
    return [float(adjusted) for adjusted in multipletests(p_values, method="holm")[1]]
