"""What a claim compares: one number from the runs of one seed.

A measure takes a `Trace` for every arm of the claim, in the claim's order, and returns a number, or
raises `NotComparable` with the reason. The measure `training.largest_lr` takes a list of traces per
arm. `claims.formulas` says in words what each of them computes.
"""
