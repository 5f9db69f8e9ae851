"""Count notifications."""

from portal.queue.notifier import notifier


def notifications() -> int:
    """How many the Redis of the current application has published so far."""
    commands = notifier().ask(lambda redis: redis.info("commandstats")) or {}
    calls: int = commands.get("cmdstat_publish", {}).get("calls", 0)
    return calls
