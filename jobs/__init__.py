"""Run the jobs of workers, and the processes around them."""

import portal  # noqa: F401 - its first steps must come first here too
