"""A helper that has a recorder write at once."""

from jobs.dispatcher.result_batches import Claiming, ResultBatches
from portal.services.dispatch.claim import Claim


def write(kept: ResultBatches, claim: Claiming | None = None) -> list[list[Claim] | None]:
    """Write the batch. Return the deliveries claimed with it, or nothing if there was no batch or
    the database refused it."""
    taken = list[list[Claim] | None]()
    kept.write(claim, lambda claims, _: taken.append(claims), in_background=False)
    return taken
