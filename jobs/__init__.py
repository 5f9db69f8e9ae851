"""Run the jobs of workers, and the processes around them."""

import portal  # noqa: F401 - what it does first has to come first here too
