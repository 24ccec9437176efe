"""Measures in words."""

from bnkit.report.claims import formulas


def test_a_formula_names_the_arms_in_the_measure_s_order_and_the_start_of_the_task():
    assert formulas.loss_range(formulas.terms(False), "none", "l1") == (
        "median over the captures after the first 100 steps of ln(range of none / range of l1); "
        "range: largest minus smallest loss along the gradient over the step sizes; a ratio counts "
        "as a million at most, a loss that is not finite is unbounded"
    )
    assert "after the first 1% of the steps of ln(range of bn / range of none)" in (
        formulas.loss_range(formulas.terms(True), "bn", "none")
    )


def test_performance_and_its_margin_go_by_the_task():
    accuracy = formulas.final_difference(formulas.terms(False), "noisy_bn", "bn")
    assert accuracy.startswith("mean training accuracy over the last tenth")
    assert accuracy.endswith("noisy_bn - bn; supported above -0.05, contradicted below")
    loss = formulas.final_difference(formulas.terms(True), "l2", "bn")
    assert loss.startswith("mean -ln(training loss) over the last tenth")
    assert loss.endswith("l2 - bn; supported above -ln 2, contradicted below")


def test_changes_of_mean_and_variance_are_told_apart():
    mean, variance = (
        one(formulas.terms(False), "l2", "none")
        for one in (formulas.mean_change, formulas.variance_change)
    )
    assert "change of the mean of" in mean and "variance" not in mean
    assert variance == mean.replace("mean of", "variance of")


def test_limits_are_those_that_decide():
    terms = formulas.terms(False)
    assert "above 0.95, contradicted below 0.5" in formulas.progress_lost(terms, "noisy_none", "bn")
    assert "below 0.01 at every seed" in formulas.largest_batch_norm_identity_error(terms, "bn")
    ics = formulas.matched_ics(terms, "bn", "none")
    assert "within a factor of 1.25" in ics and "agrees within 0.05" in ics
