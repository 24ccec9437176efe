"""What can be wrong with the place where a study is to be made."""


class LauncherError(ValueError):
    """There is nothing to start runs with; the message is one line for the user."""
