"""What the portal's web server is compared with: gunicorn's own threads."""

from gunicorn.workers.gthread import ThreadWorker


class Threads(ThreadWorker):  # type: ignore[misc]  # gunicorn publishes no types
    """With the one thing that the portal's configuration asks of a worker."""

    def is_turning(self) -> bool:
        """Whether it still serves; nobody asks gunicorn's threads."""
        return True
