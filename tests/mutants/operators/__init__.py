"""The kinds of faults, and how often each is drawn: faults as a person makes them.

Wiring that is dropped, a bound that is off by one, a guard that is gone, the wrong column or order,
a mask that is missing.
"""

from collections.abc import Mapping
from typing import Final

from tests.mutants.operators import bounds, calls, conditions, flow, queries, tables
from tests.mutants.operators.change import Operator

WEIGHTS: Final[Mapping[Operator, int]] = {
    conditions.bound_moved: 10,
    conditions.comparison_turned: 4,
    conditions.condition_turned: 3,
    conditions.operand_dropped: 10,
    conditions.and_or: 3,
    conditions.not_dropped: 2,
    conditions.choice_dropped: 6,
    conditions.condition_dropped: 4,
    conditions.guard_removed: 12,
    conditions.branch_emptied: 5,
    bounds.number_moved: 6,
    bounds.sign_turned: 3,
    bounds.step_dropped: 3,
    bounds.extreme_turned: 2,
    bounds.extreme_dropped: 3,
    bounds.slice_dropped: 3,
    bounds.slice_moved: 1,
    calls.call_dropped: 14,
    calls.wrapper_dropped: 6,
    calls.method_dropped: 4,
    calls.keyword_dropped: 8,
    calls.arguments_swapped: 3,
    calls.decorator_dropped: 3,
    queries.where_dropped: 10,
    queries.order_turned: 5,
    queries.limit_dropped: 3,
    queries.lock_dropped: 3,
    queries.column_mistaken: 5,
    flow.assignment_dropped: 8,
    flow.part_of_assignment_dropped: 2,
    flow.result_turned: 3,
    flow.result_dropped: 3,
    flow.raise_removed: 1,
    flow.loop_left: 1,
    flow.exception_forgotten: 3,
    flow.end_forgotten: 2,
    tables.entry_dropped: 7,
    tables.entries_swapped: 3,
    tables.flag_turned: 4,
    tables.word_changed: 3,
}
