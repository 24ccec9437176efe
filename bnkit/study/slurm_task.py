"""One run of a study as a task of a SLURM array job: started by the script of `slurm.run`.

As in `python -m bnkit.study.slurm_task runs/STUDY/slurm/1 3`: the fourth task of the first
submission. SIGTERM, which SLURM sends before the time is up, has it save a checkpoint and end.
"""

import os
import pathlib
import platform
import sys

from bnkit import backend
from bnkit.store import RunError, RunFiles, wait_until_free
from bnkit.study import slurm, task

# Seconds that a run waits at most for the lock of a node that was lost.
_PATIENCE = 120


def main(argv):
    """Returns the exit code: 0 for a run that ended, 1 if it failed, 130 if it was interrupted."""
    submission, index = slurm.Submission(pathlib.Path(argv[1])), int(argv[2])
    asked = submission.tasks()[index]
    directory = pathlib.Path(asked["study_dir"]) / asked["run"]
    directory.mkdir(parents=True, exist_ok=True)
    with open(RunFiles(directory).log, "ab") as log:
        log.write(f"on {platform.node()}\n".encode())
        log.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        wait_until_free(directory, _PATIENCE)
    except RunError as error:
        code, reason = 1, str(error)
    else:
        code, reason = task.make({name: value for name, value in asked.items() if name != "run"})
    if code == 1:
        print(reason, file=sys.stderr)
        submission.tell_failure(index, reason)
    return code


if __name__ == "__main__":
    backend.skip_garbage_collection_at_exit()
    sys.exit(main(sys.argv))
