"""What must hold before two runs are compared."""

import made_up
import pandas as pd
import pytest

from bnkit.report.claims.measures import comparable
from bnkit.report.statistics.pairing import NotComparable


def test_a_run_that_did_not_train_is_named_with_the_consequence():
    comparable.require_trained(made_up.trace("bn", 0, made_up.train(0.9)))
    stuck = made_up.trace("none", 0, made_up.train(0.14))
    with pytest.raises(NotComparable, match=r"^norm=none did not train, and a flat landscape"):
        comparable.require_trained(stuck)
    lost = made_up.trace("none", 0, made_up.train(0.9), state="diverged")
    with pytest.raises(NotComparable, match=r"^norm=none diverged, and so what$"):
        comparable.require_trained(lost, "so what")


def test_common_captures_from_and_until_a_step():
    first = pd.Series([1.0, 2.0, 3.0, 4.0], index=[0, 20, 40, 60])
    second = pd.Series([5.0, 6.0, 7.0], index=[0, 40, 60])
    one, other = comparable.common_captures(first, second)
    assert one.to_dict() == {0: 1.0, 40: 3.0, 60: 4.0}
    assert other.to_dict() == {0: 5.0, 40: 6.0, 60: 7.0}
    one, other = comparable.common_captures(first, second, after=1, until=60)
    assert one.to_dict() == {40: 3.0} and other.to_dict() == {40: 6.0}
    with pytest.raises(NotComparable, match=r"^there is no common capture from step 61 on$"):
        comparable.common_captures(first, second, 61)
    with pytest.raises(NotComparable, match=r"^there is no common capture before step 0$"):
        comparable.common_captures(first, second, until=0)
    with pytest.raises(NotComparable, match=r"^there is no common capture$"):
        comparable.common_captures(first, second.iloc[:0])
