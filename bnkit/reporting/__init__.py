"""The report at the end of a command: by a process of its own, which prepares while runs are made.

What draws takes a second to load and a few to draw, on one core of a process with TensorFlow. The
process that is started here has loaded it before it is needed, and is light enough to be forked.
"""
