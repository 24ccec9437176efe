"""What can be wrong with a run directory."""


class RunError(RuntimeError):
    """A run directory that cannot be used as asked; the message names the file."""


class RunFailed(RunError):
    """A run that failed while it trained; the message says at which step, and why."""


class FormatError(RunError):
    """A run that another version of bnkit wrote, in a format that this one does not know."""
