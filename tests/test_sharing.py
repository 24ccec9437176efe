"""Whether several replicas can share the work of a run."""

import pytest

from bnkit import Settings, sharing
from bnkit.settings import SettingsError


@pytest.mark.parametrize(
    ("changes", "replicas", "field"),
    [
        ({"batch_size": 9}, 3, None),
        ({"batch_size": 9}, 2, "batch_size"),
        ({"batch_size": 10}, 4, "batch_size"),
        ({"clip_norm": 1.0, "jit": "on"}, 1, None),
        ({"jit": "on"}, 2, "jit"),
        ({"clip_norm": 1.0}, 2, "clip_norm"),
    ],
)
def test_what_replicas_cannot_share_is_named(changes, replicas, field):
    settings = Settings(**changes)
    if field is None:
        sharing.check(settings, replicas)
        return
    with pytest.raises(SettingsError, match=f"{replicas} replicas") as caught:
        sharing.check(settings, replicas)
    assert caught.value.field == field
