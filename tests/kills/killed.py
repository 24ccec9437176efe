"""Makes a run, and kills its own process at a named moment: `killed.py MOMENT COUNT FLAGS...`.

Nothing is cleaned up then, as when the machine goes down. Reports, which take longer than these
runs, are drawn for the moment "reporting" alone; at "no" moment nothing is killed.
"""

import functools
import os
import signal
import sys


def die_at(owner, name, count, after=False):
    """Kills the process at, or after, the `count`th call of `owner.name`."""
    original, calls = getattr(owner, name), [0]

    @functools.wraps(original)
    def dying(*arguments, **keywords):
        calls[0] += 1
        due = calls[0] == count
        if due and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **keywords)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, dying)


def half_a_record(count):
    """Kills the process in the middle of the `count`th line of the records."""
    from bnkit.store import RunDir

    append, calls = RunDir.append, [0]

    def torn(self, record):
        calls[0] += 1
        if calls[0] == count:
            with open(self.path / "metrics.jsonl", "a") as file:
                file.write('{"step": 1, "ki')
            os.kill(os.getpid(), signal.SIGKILL)
        append(self, record)

    RunDir.append = torn


def arrange(moment, count):
    if moment == "no":
        return
    import tensorflow as tf

    import bnkit.report
    from bnkit.experiment import assembly
    from bnkit.store import RunDir, checkpoints
    from bnkit.training import Trainer

    if moment == "recording":
        half_a_record(count)
        return
    owner, name, after = {
        "starting": (assembly, "load_dataset", False),
        "compiling": (assembly, "make_trainer", True),
        "training": (Trainer, "_train", True),
        "saving": (tf.train.Checkpoint, "write", False),
        "between the files of a checkpoint": (checkpoints, "_checksum", False),
        "status": (RunDir, "set_status", False),
        "reporting": (bnkit.report, "write_report", False),
    }[moment]
    if moment == "reporting":
        bnkit.report.write_report  # noqa: B018  found on first use
    die_at(owner, name, count, after)


def main():
    moment, count, *arguments = sys.argv[1:]
    arrange(moment, int(count))
    if moment == "reporting":
        from bnkit.main import main as command

        sys.exit(command(["bnkit", *arguments]))
    from bnkit import experiment
    from bnkit.command_line import parse

    values, (settings,) = parse(["bnkit", *arguments])
    experiment.run(
        settings,
        os.path.join(values.runs_dir, values.study),
        checkpoint_seconds=values.checkpoint_seconds,
        progress=False,
    )


if __name__ == "__main__":
    main()
