"""The runs of a study as tasks of SLURM array jobs: written, handed over, and gathered.

`run` returns at once, whatever SLURM does with the jobs. Called again it says how far they are.
What it knows of them stands in `STUDY/slurm/`, a few files for each array job.
"""

import dataclasses
import json
import logging
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

from bnkit import backend
from bnkit.store import RunFiles, replace_file
from bnkit.study.errors import LauncherError
from bnkit.study.launch import Outcome, found

# Tasks of one array job: SLURM's own limit is 1001 where nobody has changed it.
_MOST_TASKS = 1000
# Seconds before the end of its time at which a run is asked to save a checkpoint.
_NOTICE = 120
# States of jobs that wait for their turn; all others in the queue are being made.
_WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")

_log = logging.getLogger(__name__)


def check():
    """Checks that this is a machine that SLURM's jobs are submitted from.

    Raises:
        LauncherError: If it is not.
    """
    missing = [program for program in ("sbatch", "squeue") if shutil.which(program) is None]
    if missing:
        raise LauncherError(
            f"--launcher=slurm needs {' and '.join(missing)}, not found on the PATH: give the "
            "command on a machine that SLURM's jobs are submitted from"
        )


def run(
    grid,
    study_dir,
    *,
    jobs=None,
    cpus=1,
    gpus=0,
    data_dir=None,
    input="auto",
    command=(),
    checkpoint_seconds=None,
    tensorboard_details=False,
):
    """Hands every run of a grid to SLURM that has not ended and that it does not have yet.

    Runs that SLURM has dropped before they ended are handed over again, and go on from their
    checkpoints. One that failed stays as it is until all others have ended, too; the call after
    that hands it over again.

    Args:
        grid: List of `bnkit.Settings`, no two of them equal.
        study_dir: Directory of the study, on a file system that all nodes share.
        jobs: How many runs of an array job to make at a time; as many as there is room for if None.
        cpus: Cores and threads of each run.
        gpus: GPUs of each run.
        data_dir, input, command, checkpoint_seconds, tensorboard_details: As for `study.run`.

    Returns:
        List of `Outcome`, in the order of the grid; its state is "queued" or "running" for those
        that SLURM has.

    Raises:
        LauncherError: If SLURM refuses the job.
    """
    study_dir = pathlib.Path(study_dir).absolute()
    submissions = _submissions(study_dir)
    # Before the runs are looked at: what has left the queue by then writes no more.
    queue = _queue() if submissions else {}
    outcomes = found(grid, study_dir, resume=True)
    held = {}
    for submission in submissions:
        held.update(submission.held(queue))
    for settings in grid:
        if settings not in outcomes and held.get(settings.run_id):
            outcomes[settings] = Outcome(settings, *held[settings.run_id])
            _tell(outcomes[settings], study_dir)
    waiting = [settings for settings in grid if settings not in outcomes]
    dropped = sum(settings.run_id in held for settings in waiting)
    if dropped:
        _log.warning(
            "%d of the runs have left SLURM before they ended; what it says of them: %s",
            *(dropped, study_dir / "slurm" / "*.out"),
        )
    options = {"study_dir": str(study_dir), "data_dir": data_dir, "input": input, "resume": True}
    options |= {"command": list(command), "tensorboard_details": tensorboard_details}
    if checkpoint_seconds is not None:
        options["checkpoint_seconds"] = checkpoint_seconds
    for first in range(0, len(waiting), _MOST_TASKS):
        part = waiting[first : first + _MOST_TASKS]
        submission = Submission(study_dir / "slurm" / str(len(_scripts(study_dir)) + 1))
        submission.hand_over(part, options, jobs=jobs, cpus=cpus, gpus=gpus)
        outcomes.update((settings, Outcome(settings, "queued")) for settings in part)
    if not {outcome.state for outcome in outcomes.values()} & {"queued", "running"}:
        for submission in submissions:
            submission.forget()
    return [outcomes[settings] for settings in grid]


@dataclasses.dataclass(frozen=True)
class Submission:
    """One array job, and the files that belong to it.

    Attributes:
        path: What the names of its files begin with, `STUDY/slurm/NUMBER`.
    """

    path: pathlib.Path

    def hand_over(self, grid, options, *, jobs, cpus, gpus):
        """Writes the job and submits it.

        Args:
            grid: List of `bnkit.Settings`, one for each task.
            options: Further arguments of `experiment.run`.
            jobs, cpus, gpus: As for `run`.

        Raises:
            LauncherError: If SLURM refuses it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        tasks = [{"run": s.run_id, "settings": s.to_dict(), **options} for s in grid]
        lines = "".join(json.dumps(task) + "\n" for task in tasks)
        replace_file(self._file("tasks"), lines.encode())
        script = self._file("sh")
        replace_file(script, _script(self.path, len(grid), jobs, cpus, gpus).encode())
        try:
            job = _called("sbatch", "--parsable", str(script)).strip().partition(";")[0]
        except LauncherError:
            script.unlink()
            self._file("tasks").unlink()
            raise
        replace_file(self._file("job"), f"{job}\n".encode())
        runs = "1 run" if len(grid) == 1 else f"{len(grid)} runs"
        _log.info("%s handed over to SLURM as the array job %s: %s", runs, job, script)

    def tasks(self):
        """The arguments of `experiment.run` for each task, and the name of its `run`."""
        lines = self._file("tasks").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def tell_failure(self, index, reason):
        """Writes down why a task has failed."""
        replace_file(self._failure(index), reason.encode())

    def held(self, queue):
        """Run -> `(state, reason)`, None for one that has left the queue and has not failed.

        Args:
            queue: `{"JOB_INDEX": state}`.
        """
        job = self._file("job").read_text(encoding="utf-8").strip()
        held = {}
        for index, task in enumerate(self.tasks()):
            if state := queue.get(f"{job}_{index}"):
                held[task["run"]] = ("queued" if state in _WAITING else "running", "")
            elif self._failure(index).exists():
                held[task["run"]] = ("failed", self._failure(index).read_text(encoding="utf-8"))
            else:
                held[task["run"]] = None
        return held

    def forget(self):
        """From now on its runs can be handed over again."""
        self._file("job").unlink()

    def _file(self, kind):
        return self.path.with_name(f"{self.path.name}.{kind}")

    def _failure(self, index):
        return self._file(f"{index}.failed")


def _tell(outcome, study_dir):
    """Says why a run has failed."""
    if outcome.state == "failed":
        log = RunFiles(study_dir / outcome.settings.run_id).log
        text = "%s failed: %s (all it printed: %s)"
        _log.error(text, outcome.settings.run_id, outcome.reason, log)


def _scripts(study_dir):
    return list((study_dir / "slurm").glob("*.sh"))


def _submissions(study_dir):
    """The submissions that are not yet forgotten, the oldest first."""
    jobs = (study_dir / "slurm").glob("*.job")
    return [Submission(job.with_suffix("")) for job in sorted(jobs, key=lambda p: int(p.stem))]


def _script(path, count, jobs, cpus, gpus):
    """The text of the batch script for so many tasks."""
    name = re.sub(r"[^\w.-]", "_", path.parent.parent.name)
    limit = f"%{jobs}" if jobs else ""
    # In the name of a file SLURM replaces what follows a single %.
    output = shlex.quote(f"{path}.%a.out".replace("%", "%%").replace("%%a.out", "%a.out"))
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name=bnkit-{name}",
        f"#SBATCH --array=0-{count - 1}{limit}",
        "#SBATCH --ntasks=1",
        f"#SBATCH --cpus-per-task={cpus}",
        *([f"#SBATCH --gres=gpu:{gpus}"] if gpus else []),
        f"#SBATCH --output={output}",
        "#SBATCH --open-mode=append",
        "#SBATCH --requeue",
        f"#SBATCH --signal=B:TERM@{_NOTICE}",
        *(f'export {variable}="${{{variable}:-{cpus}}}"' for variable in backend.THREADS),
        *([] if gpus else ["export CUDA_VISIBLE_DEVICES="]),
        'export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"',
        f"cd {shlex.quote(os.getcwd())} || exit 1",
        f"exec {shlex.quote(sys.executable)} -m bnkit.study.slurm_task {shlex.quote(str(path))} "
        '"$SLURM_ARRAY_TASK_ID"',
    ]
    return "\n".join(lines) + "\n"


def _queue():
    """`{"JOB_INDEX": state}` of all tasks of this user's array jobs that SLURM has."""
    lines = _called("squeue", "--me", "--noheader", "--array", "--format=%F_%K %T").splitlines()
    return dict(line.split() for line in lines)


def _called(program, *arguments):
    """What one of SLURM's programs prints.

    Raises:
        LauncherError: If it fails.
    """
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise LauncherError(f"{program} refused: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
