"""What can be wrong with a run directory."""


class RunError(RuntimeError):
    """A run directory that cannot be used as asked; the message names the file."""
