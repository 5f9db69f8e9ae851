"""A worker that also knows the sample jobs: `python -m … worker deliveries`."""

from typing import Final

from portal.queue import names

FOLDER: Final = "tests.jobs.worker.sample_jobs"
JOBS: Final = ("note", "until_stopped", "end_late", "hang", "fail")
SAMPLES: Final = tuple(f"{FOLDER}.{name}" for name in JOBS)
COMMAND: Final = ("-m", "tests.jobs.worker.sample_worker", "worker", names.DELIVERIES)


def main() -> None:
    """Run `python -m jobs` with the sample jobs."""
    names.JOB_NAMES += SAMPLES  # type: ignore[misc]
    from jobs.__main__ import main

    main()


if __name__ == "__main__":
    main()
