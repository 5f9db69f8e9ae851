"""A worker that knows the sample jobs as well: `python -m … worker deliveries`."""

from typing import Final

from portal.queue import names

FOLDER: Final = "tests.jobs.processes.sample_jobs"
SAMPLES: Final = tuple(f"{FOLDER}.{name}" for name in ("note", "until_stopped", "fail"))
COMMAND: Final = ("-m", "tests.jobs.processes.sample_worker", "worker", names.DELIVERIES)

if __name__ == "__main__":
    names.JOB_NAMES += SAMPLES  # type: ignore[misc]  # before anybody has read it
    from jobs.__main__ import main

    main()
