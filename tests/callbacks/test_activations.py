"""Inputs of the non-linearities, taken while a model trains."""

import numpy as np
import small

from bnkit import callbacks


def test_activations_change_since_the_last_and_drift_since_the_first_measurement():
    log = callbacks.Activations(every=2, units=2)
    small.trained(5, [log])
    found = [record for record in log.records if record["kind"] == "activations"]
    assert [record["step"] for record in found] == [0, 2, 4]
    assert np.isnan(found[0]["mean_change"]).all() and not np.any(found[0]["mean_drift"])
    for name in ("mean", "variance"):
        first, second, third = (np.array(record[name]) for record in found)
        assert np.abs(third - second).max() > 1e-3
        np.testing.assert_allclose(found[2][f"{name}_change"], third - second, rtol=1e-12)
        np.testing.assert_allclose(found[2][f"{name}_drift"], third - first, rtol=1e-12)
    signal = [record["kind"] for record in log.records].count("signal_propagation")
    assert signal == 3


def test_what_an_interrupted_run_recorded_is_what_activations_drift_from():
    whole, rest = (callbacks.Activations(every=2, units=2) for _ in range(2))
    small.trained(5, [whole])
    rest.restore(whole.records[:4])  # of the steps 0 and 2
    trainer = small.trained(4)
    trainer.fit(small.batches(), 5, [rest])
    assert str(rest.records) == str(whole.records)


def test_the_first_and_the_last_record_are_enough():
    """Memory stays the same over a long run, and what is written is the same."""
    whole, window, written = callbacks.Activations(every=2), None, []
    small.trained(9, [whole])
    window = callbacks.Activations(every=2, write=written.append)
    window.keep_first_and_last()
    small.trained(9, [window])
    assert str(written) == str(whole.records) and len(written) == 10
    kept = [(record["step"], record["kind"]) for record in window.records]
    expected = [(s, k) for s in (0, 8) for k in ("activations", "signal_propagation")]
    assert sorted(kept) == expected
