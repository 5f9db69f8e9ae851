"""What workers run, and the processes that they run in."""

import portal  # noqa: F401 - what it does first has to come first here too
