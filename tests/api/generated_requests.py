"""Hooks for schemathesis, with the refusals of values that fit the description."""

import re
from typing import Any, Final

import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData

# They depend on stored rows, on other fields, on the clock, or on rules that JSON Schema can’t say.
NOT_DESCRIBED: Final = re.compile(
    "“after” can’t be read|Idempotency-Key was used|Someone else changed|with this ID"
    "|from 1900-01-01 to 2200-12-31|already|from the list|Choose another|in the future"
    "|Enter an end|Enter today or an earlier|on or after the purchase date|Enter the quantity"
    "|only with “active”|Give both code_from|random secret key|after whsec_|the secret key"
    "|URL|Enter a value for|The portal sets|Remove the duplicate"
    "|Send an ETag as you got it"  # schemathesis takes the quotes from some ETags
    "|Enter one amount|Enter the amount|letters, digits, and punctuation"
)


@schemathesis.hook
def filter_failure(_context: Any, failure: Any, _case: Any, response: Any) -> bool:
    """Keep a failure, unless a value that fits was refused with one of these sentences."""
    if response.status_code == 412:  # A stale request is refused, whatever else it has.
        return False
    if not isinstance(failure, RejectedPositiveData):
        return True
    problem = response.json()
    said = [error["detail"] for error in problem.get("errors", ())] or [problem["detail"]]
    return not all(map(NOT_DESCRIBED.search, said))
