"""Having a recorder write at once."""

from jobs.dispatcher.result_batches import Claiming, ResultBatches
from portal.services.dispatch.claim import Claim


def write(kept: ResultBatches, claim: Claiming | None = None) -> list[list[Claim] | None]:
    """Empty where there was nothing to write, or the database did not take it; else what was
    claimed with it."""
    taken = list[list[Claim] | None]()
    kept.write(claim, lambda claims, _: taken.append(claims), in_background=False)
    return taken
