"""Time per step and per capture on several devices and workers, and what a strategy costs on one.

VGG-11 with batch norm at width 0.25, global batch 128: `python benchmarks/scaling.py` takes 1, 2
and 4 logical devices in turns, then 1 and 2 workers, one after the other, which are processes of
their own on this machine with an equal share of its cores. All share one processor, so that more of
them make nothing faster: what is above 1 is what it costs to exchange gradients and statistics.
`--width`, `--rounds`, `--devices` and `--workers` make it smaller.
"""

import argparse
import functools
import json
import os
import socket
import statistics
import subprocess
import sys

import keras
import tensorflow as tf
from timing import print_table, ratio, seconds_in_turns
from train_step import BATCH_SIZE, images, loss, standardise

from bnkit import models, probes
from bnkit.backend import THREADS, cores
from bnkit.data import Batches
from bnkit.training import Trainer, cluster

DEVICES = (1, 2, 4)
WORKERS = (1, 2)
STEPS = 10
STEP_SIZES = (0.05, 0.2, 0.4)
# The most that a strategy may take of a step without one, on one device.
TARGET = 1.05


def mirrored(count):
    # TensorFlow numbers what replicas exchange from here on: those of two strategies of one process
    # must not meet.
    tf.distribute.MirroredStrategy._collective_key_base = 1_000_000 * count
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)])


def made(width, strategy):
    """A function that trains for `STEPS` steps, and one for each capture, name -> function."""
    with strategy.scope():
        model, optimizer = models.vgg("bn", width=width, seed=0), keras.optimizers.SGD(1e-6)
    trainer = Trainer(model, optimizer, loss(), strategy=strategy, prepare=standardise)
    split = images(STEPS * BATCH_SIZE)
    batches = Batches(split, BATCH_SIZE, seed=0)
    trainer.fit(batches, 1)
    moved = [v.numpy() * 1.001 for v in model.trainable_variables]

    def shift(batch):
        return probes.internal_covariate_shift(model, trainer.loss_fn, batch, moved)[1:]

    def landscape(batch):
        return probes.landscape(model, trainer.loss_fn, batch, STEP_SIZES)

    captures = {
        "landscape": trainer.on_replicas(landscape),
        "ics": trainer.on_replicas(shift),
    }
    batch = trainer.batch()
    return {
        "step": lambda: trainer.fit(batches, trainer.step + STEPS),
        **{name: functools.partial(capture, *batch) for name, capture in captures.items()},
    }


def milliseconds(name, seconds):
    """Of one step or capture."""
    return 1000 * statistics.median(seconds) / (STEPS if name == "step" else 1)


def work(options):
    """The part of one worker; the first prints its seconds."""
    strategy = cluster.connect()
    functions = made(options.width, strategy)
    seconds = {
        name: seconds_in_turns({name: function}, options.rounds)[name]
        for name, function in functions.items()
    }
    if strategy.cluster_resolver.task_id == 0:
        print(json.dumps(seconds))


def of_workers(count, options):
    """Name -> seconds with so many workers, each a process."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in (one, other)][:count]
    command = [sys.executable, __file__, "--work", f"--width={options.width}"]
    command += [f"--rounds={options.rounds}"]
    threads = dict.fromkeys(THREADS, str(max(cores() // count, 1)))
    processes = []
    for index in range(count):
        place = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, **threads, "TF_CONFIG": json.dumps(place)}
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment))
    first, *_ = [process.communicate()[0] for process in processes]
    return json.loads(first)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--devices", type=int, nargs="+", default=DEVICES)
    parser.add_argument("--workers", type=int, nargs="*", default=WORKERS, choices=WORKERS)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options)
        return
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * max(options.devices),
    )
    plain = made(options.width, tf.distribute.get_strategy())
    by_count = {count: made(options.width, mirrored(count)) for count in options.devices}
    rows = []
    for name in plain:
        candidates = {count: functions[name] for count, functions in by_count.items()}
        seconds = seconds_in_turns({"no strategy": plain[name], **candidates}, options.rounds)
        for count in ("no strategy", *by_count):
            rows.append(
                {
                    "of": name,
                    "on": count if count == "no strategy" else f"{count} devices",
                    "ms": milliseconds(name, seconds[count]),
                    "ratio": ratio(seconds, count, "no strategy"),
                    "at most": TARGET if (name, count) == ("step", 1) else float("nan"),
                }
            )
    by_workers = {count: of_workers(count, options) for count in options.workers}
    for name in plain:
        for count, seconds in by_workers.items():
            against = statistics.median(seconds[name])
            against /= statistics.median(by_workers[options.workers[0]][name])
            rows.append(
                {
                    "of": name,
                    "on": f"{count} workers",
                    "ms": milliseconds(name, seconds[name]),
                    "ratio": against,
                }
            )
    print_table(rows)


if __name__ == "__main__":
    main()
