"""Timings that can be compared: the candidates take turns, so that a slow moment hits them all."""

import statistics
import time

import pandas as pd


def seconds_in_turns(candidates, rounds):
    """Seconds of every call, name -> list; `candidates` is name -> function, warmed up once."""
    seconds = {name: [] for name in candidates}
    for function in candidates.values():
        function()
    for _ in range(rounds):
        for name, function in candidates.items():
            start = time.perf_counter()
            result = function()
            # A function that times itself, to leave out its own preparations, returns seconds.
            passed = time.perf_counter() - start
            seconds[name].append(result if isinstance(result, float) else passed)
    return seconds


def ratio(seconds, name, reference):
    """Median over the rounds of the ratio within a round."""
    pairs = zip(seconds[name], seconds[reference], strict=True)
    return statistics.median(one / other for one, other in pairs)


def median_milliseconds(seconds, name):
    return 1000 * statistics.median(seconds[name])


def print_table(rows):
    """Prints a list of dicts, one row each."""
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.2f}"))
