"""Which runs are compared, and which seeds are left out and named."""

import made_up
import pytest
from asked import verdict, verdicts

from bnkit.report.statistics import pairing

SEEDS = made_up.SEEDS


def _members(*traces):
    (members,) = pairing.conditions(traces, over_lr=False).values()
    return members


def _accuracy(level, norm="bn", seed=0, **settings):
    return made_up.trace(norm, seed, made_up.train(level), **settings)


def _first(one, other):
    return one.performance.iloc[0] - other.performance.iloc[0]


def test_seeds_without_a_partner_are_left_out_and_named():
    members = _members(
        _accuracy(0.9),
        _accuracy(0.5, "none"),
        _accuracy(0.1, "bn", 7),
        _accuracy(1.0, "none", 8),
        _accuracy(1.0, "none", 9),
    )
    values, notes, lost = pairing.compare(_first, ("bn", "none"), members)
    assert values == [pytest.approx(0.4)] and lost == []
    assert notes == [
        "seed 7: there is no run of norm=none",
        "seeds 8, 9: there is no run of norm=bn",
    ]


def test_numbers_are_in_the_order_of_the_seeds():
    # In a set of its own, 8 comes before 1.
    members = _members(
        *(_accuracy(0.5 + seed / 100, "bn", seed) for seed in (8, 1, 20)),
        *(_accuracy(0.5, "none", seed) for seed in (1, 8, 20)),
    )
    values, notes, _ = pairing.compare(_first, ("bn", "none"), members)
    assert values == pytest.approx([0.01, 0.08, 0.2]) and notes == []


def test_seeds_that_cannot_be_compared_are_named_with_the_reason():
    def measure(one):
        if one.seed == 0:
            return float("inf")
        if one.seed == 1:
            raise pairing.NotComparable("so it is", brief="so", norm="bn")
        return 2.0

    members = _members(*(_accuracy(0.9, "bn", seed) for seed in SEEDS))
    values, notes, lost = pairing.compare(measure, ("bn",), members)
    assert values == [2.0]
    assert notes == ["seed 0: the number is not finite", "seed 1: so it is"]
    assert [(error.brief, error.norm) for error in lost] == [
        ("the number is not finite", None),
        ("so", "bn"),
    ]


def test_runs_that_diverged_or_are_shorter_are_noted():
    short = made_up.trace("none", 0, made_up.train(0.5, steps=50), state="interrupted")
    _, notes, _ = pairing.compare(_first, ("bn", "none"), _members(_accuracy(0.9), short))
    assert notes == [
        "seed 0: the arms end at different steps, and what they have in common is compared"
    ]
    lost = made_up.trace("none", 0, made_up.train(0.5, steps=50), state="diverged")
    _, notes, _ = pairing.compare(_first, ("bn", "none"), _members(_accuracy(0.9), lost))
    assert notes == ["seed 0: norm=none diverged"]


def test_a_condition_is_everything_but_normalisation_and_seed():
    traces = [_accuracy(0.9, norm, seed) for norm in ("bn", "none") for seed in SEEDS]
    traces += [_accuracy(0.9, "bn", 0, momentum=0.9), _accuracy(0.9, "bn", 0, classes=None)]
    found = pairing.conditions(traces, over_lr=False)
    shape = {
        condition: {norm: sorted(seeds) for norm, seeds in members.items()}
        for condition, members in found.items()
    }
    assert shape == {
        "vgg11, glyphs, lr 0.1, momentum None": {"bn": [0, 1, 2], "none": [0, 1, 2]},
        "vgg11, glyphs, lr 0.1, momentum 0.9": {"bn": [0]},
        "dln, gaussian, lr 0.1": {"bn": [0]},
    }


def test_over_learning_rates_a_seed_has_a_list_of_runs():
    traces = [_accuracy(0.9, "bn", 0, lr=lr) for lr in (0.5, 0.1)] + [_accuracy(0.9, "none", 0)]
    found = pairing.conditions(traces, over_lr=True)
    (members,) = found.values()
    assert list(found) == ["vgg11, glyphs, lr 0.1…0.5 (2)"]
    assert [trace.lr for trace in members["bn"][0]] == [0.5, 0.1]
    assert [trace.lr for trace in members["none"][0]] == [0.1]


def test_runs_with_other_settings_are_not_compared():
    def records(*_):
        return [made_up.train()]

    runs = [made_up.run("bn", seed, made_up.train()) for seed in SEEDS]
    runs += [made_up.run("none", seed, made_up.train(), momentum=0.9) for seed in SEEDS]
    assert verdict(runs, "faster-training").arms == ()
    runs = made_up.arms("none", "bn", records, width=1.0)
    runs += made_up.arms("none", "bn", records, width=2.0)
    conditions = [one.condition for one in verdicts(runs, "faster-training")]
    assert conditions == ["vgg11, glyphs, lr 0.1, width 1", "vgg11, glyphs, lr 0.1, width 2"]


def test_studies_are_one_comparison_unless_they_repeat_each_other():
    def conditions(*traces, over_lr=False):
        found = pairing.conditions(traces, over_lr)
        return {condition: sorted(members) for condition, members in found.items()}

    bn, none = _accuracy(0.9, "bn", study="a"), _accuracy(0.5, "none", study="b")
    assert conditions(bn, none) == {"vgg11, glyphs, lr 0.1": ["bn", "none"]}
    again = _accuracy(0.8, "bn", study="b")
    assert conditions(bn, none, again) == {
        "vgg11, glyphs, lr 0.1, study a": ["bn"],
        "vgg11, glyphs, lr 0.1, study b": ["bn", "none"],
    }
    # Another seed, or another learning rate, repeats nothing.
    other = _accuracy(0.8, "bn", seed=1, study="b")
    assert conditions(bn, none, other) == {"vgg11, glyphs, lr 0.1": ["bn", "none"]}
    faster = _accuracy(0.8, "bn", lr=0.5, study="b")
    assert conditions(bn, none, faster, over_lr=True) == {
        "vgg11, glyphs, lr 0.1…0.5 (2)": ["bn", "none"]
    }
