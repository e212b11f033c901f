"""Where tabtensor answers something else than PyTorch on purpose, and what PyTorch cannot be asked. Each with its reason; nothing is skipped unsaid.

A deviation is consulted only when an answer differs. `matches(case, ours, theirs)` sees the drawn call (domains.Case), our answer (the driver's
JSON object) and PyTorch's (an exception, or a list of tensors).
"""

import re
from dataclasses import dataclass
from typing import Callable

import torch


@dataclass
class Deviation:
    rows: str  # a regular expression for whole names
    reason: str
    matches: Callable
    n_seen: int = 0

    def covers(self, case, ours, theirs):
        return re.fullmatch(self.rows, case.row["name"]) is not None and bool(self.matches(case, ours, theirs))


def both_worked(ours, theirs):
    return "results" in ours and isinstance(theirs, list)


DEVIATIONS = []


def find_deviation(case, ours, theirs):
    return next((deviation for deviation in DEVIATIONS if deviation.covers(case, ours, theirs)), None)


def is_hazard(case):
    """Calls that PyTorch 1.13 does not survive or does not define: they are drawn anew."""
    return bool(re.search(r"(div|remainder|fmod)", case.row["name"])) and divides_smallest(case)


def divides_smallest(case):
    """The smallest integer divided by -1 raises SIGFPE in PyTorch on x86."""
    values = list(case.values.values())[:2]
    if any(isinstance(value, float) or isinstance(value, torch.Tensor) and value.is_floating_point() for value in values):
        return False
    def holds(value, numbers):
        if isinstance(value, torch.Tensor):
            return any(bool((value == number).any()) for number in numbers)
        return value in numbers
    return holds(values[0], (-2 ** 63, -2 ** 31)) and holds(values[1], (-1,))
