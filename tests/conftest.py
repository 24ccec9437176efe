"""What all tests stand on: four logical CPU devices, and a clean dtype policy for each test."""

import functools
import os
import signal

# Before TensorFlow is imported: it reads this once.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pytest
import tensorflow as tf

from bnkit import data

# Before TensorFlow starts its devices: afterwards their number is fixed for the process.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 4,
)

# A shell starts commands in the background deaf to Ctrl-C, and their children inherit it: the tests
# that send it would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _restored_dtype_policy():
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture(scope="session")
def two_replicas():
    """A strategy of two replicas, both on the CPU."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def four_replicas():
    """A strategy of four replicas, all on the CPU."""
    with pytest.MonkeyPatch.context() as patch:
        # TensorFlow numbers what replicas exchange from here on: the numbers of two strategies of
        # one process must not meet.
        patch.setattr(tf.distribute.MirroredStrategy, "_collective_key_base", 1_000_000)
        return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(4)])


@pytest.fixture
def on_two_replicas(two_replicas):
    """`run(function, *batches)`: `[result on replica 0, result on replica 1]`, as NumPy arrays.

    Each replica calls `function` on its own half of every batch, in one `tf.function`.
    """

    def run(function, *batches):
        halves = [np.split(np.asarray(batch), 2) for batch in batches]
        shares = [
            two_replicas.experimental_distribute_values_from_function(
                lambda context, half=half: tf.constant(half[context.replica_id_in_sync_group])
            )
            for half in halves
        ]
        step = tf.function(lambda *args: two_replicas.run(function, args), autograph=False)
        results = step(*shares)
        return [
            tf.nest.map_structure(
                lambda result, i=i: two_replicas.experimental_local_results(result)[i].numpy(),
                results,
            )
            for i in range(2)
        ]

    return run


@pytest.fixture
def variables_of_a_trained_model():
    """`(model, batch, snapshot)`: `snapshot()` gives the bytes of all that a probe might change.

    The model has been trained, so that there are moving averages, a random state, optimizer
    slots and metrics, none of them at its initial value.
    """
    model = keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            keras.layers.Conv2D(3, 3),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(8, 4, 4, 2)).astype("float32"), rng.integers(0, 10, 8)
    model.train_on_batch(*batch)

    def snapshot():
        variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
        return {v.path: v.numpy().tobytes() for v in variables}

    paths = " ".join(snapshot())
    assert all(part in paths for part in ("moving_mean", "seed_generator_state", "momentum"))
    return model, batch, snapshot


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty working directory, few glyphs, and the whole command at hand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BNKIT_CACHE_DIR", str(tmp_path / "cache"))
    few = functools.partial(data.load_glyphs, train_size=128, test_size=40)
    monkeypatch.setattr(data, "load_glyphs", few)
    return tmp_path
