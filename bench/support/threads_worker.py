"""gunicorn's own threads, to compare the portal's web server with."""

from gunicorn.workers.gthread import ThreadWorker


class Threads(ThreadWorker):  # type: ignore[misc]  # gunicorn publishes no types
    """A thread worker with the one method that the portal's configuration needs."""

    def is_turning(self) -> bool:
        """Return True, because nobody monitors gunicorn's threads."""
        return True
