"""The report page and its headlines."""
