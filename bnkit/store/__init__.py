"""The run format: nothing else in bnkit knows how a run is kept on disk.

`RunDir` writes a run, `read_description`, `read_status` and `read_records` read one, whoever holds
it, and `RunFiles` says where its files are.
"""

from bnkit.store.checkpoints import Checkpoints
from bnkit.store.contents import ENDED, STATES, describe
from bnkit.store.encoding import from_json, to_json
from bnkit.store.errors import FormatError, RunError, RunFailed
from bnkit.store.files import replace_file
from bnkit.store.layout import (
    EVENTS,
    REPORT_EVENTS,
    RUN_EVENTS,
    RunFiles,
    find_runs,
    is_run,
    tensorboard_directory,
)
from bnkit.store.reading import (
    StepCounter,
    check_replaceable,
    is_measured,
    read_description,
    read_records,
    read_status,
)
from bnkit.store.run_dir import RunDir, wait_until_free

__all__ = [
    "ENDED",
    "EVENTS",
    "REPORT_EVENTS",
    "RUN_EVENTS",
    "STATES",
    "Checkpoints",
    "FormatError",
    "RunDir",
    "RunError",
    "RunFailed",
    "RunFiles",
    "StepCounter",
    "check_replaceable",
    "describe",
    "find_runs",
    "from_json",
    "is_measured",
    "is_run",
    "read_description",
    "read_records",
    "read_status",
    "replace_file",
    "tensorboard_directory",
    "to_json",
    "wait_until_free",
]
