import pytest

from bnkit.schedules import At, Every


@pytest.mark.parametrize("n", [1, 2, 7, 25])
def test_every_gives_the_multiples(n):
    multiples = range(0, 200, n)
    for step in range(100):
        assert Every(n).next(step) == next(m for m in multiples if m >= step)


def test_at_gives_the_steps_in_order_and_then_none():
    schedule = At([10, 0, 100, 10])
    assert [schedule.next(s) for s in (0, 1, 10, 11, 100, 101)] == [0, 10, 10, 100, 100, None]
    assert At([]).next(0) is None


@pytest.mark.parametrize("n", [0, -1, 2.0, True])
def test_every_rejects(n):
    with pytest.raises(ValueError, match=f"n={n}"):
        Every(n)


@pytest.mark.parametrize("steps", [[-1], [0.5], [True]])
def test_at_rejects(steps):
    with pytest.raises(ValueError, match="Received: steps="):
        At(steps)
