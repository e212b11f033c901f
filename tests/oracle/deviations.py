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

    def covers(self, case, ours, theirs):
        return re.fullmatch(self.rows, case.row["name"]) is not None and bool(self.matches(case, ours, theirs))


def both_worked(ours, theirs):
    return "results" in ours and isinstance(theirs, list)


def is_empty_or_scalar(tensor):
    return isinstance(tensor, torch.Tensor) and tensor.numel() <= 1


def has_infinite_dividend(case):
    first = next(iter(case.values.values()))
    return isinstance(first, torch.Tensor) and first.is_floating_point() and bool(torch.isinf(first).any())


def scalar_beside_number(case):
    values = list(case.values.values())
    return any(isinstance(value, torch.Tensor) and value.dim() == 0 for value in values[1:]) and \
        any(isinstance(value, (int, float)) for value in values[1:])


def shares_self(ours, theirs):
    return both_worked(ours, theirs) and ours["results"][0]["shares"] == -1 and theirs[0].numel() > 0


DEVIATIONS = [
    Deviation("to|type_as|bool|byte|int|long|float|double",
              "a conversion always makes a tensor of its own; PyTorch answers self when there is nothing to convert",
              lambda case, ours, theirs: shares_self(ours, theirs) and theirs[0].dtype == next(case.operands()).dtype),
    Deviation("fill_|zero_|masked_fill_",
              "no op writes through an expanded view; PyTorch lets these",
              lambda case, ours, theirs: ours.get("error") == "argument" and 0 in next(case.operands()).stride()),
    Deviation("clamp.*|maximum|minimum",
              "between 0.0 and -0.0 PyTorch chooses otherwise in vectors and in what is left behind them",
              lambda case, ours, theirs: both_worked(ours, theirs) and any(bool((tensor == 0).any()) for tensor in theirs)),
    Deviation("floor_divide_?|div_?",
              "infinity divided and rounded down: PyTorch says nan in vectors and inf in what is left behind them, we always inf",
              lambda case, ours, theirs: both_worked(ours, theirs) and has_infinite_dividend(case)),
    Deviation(".*",
              "a dtype that an op does not take is refused whatever the sizes; PyTorch answers where there is nothing to compute",
              lambda case, ours, theirs: ours.get("error") == "dtype" and any(map(is_empty_or_scalar, case.operands()))),
    Deviation("norm",
              "PyTorch 1.13 refuses some norms over three dimensions or more, which are sums like any other",
              lambda case, ours, theirs: "results" in ours and "at most 2 dimensions" in str(theirs)),
    Deviation("unbind|split|chunk|tensor_split",
              "one call answers at most 64 results",
              lambda case, ours, theirs: "64" in ours.get("message", "") and len(theirs) > 64),
    Deviation(".*_",
              "operands that overlap what is changed are read as they were before the call; PyTorch refuses most of these",
              lambda case, ours, theirs: "results" in ours and "refer to a single memory location" in str(theirs)),
    Deviation("masked_scatter_?",
              "the source is taken in the order of the elements; PyTorch 1.13 takes it in the order of self's memory",
              lambda case, ours, theirs: both_worked(ours, theirs) and not next(case.operands()).is_contiguous()),
    Deviation("addmm|addmv|baddbmm|addbmm|index_add_?",
              "factors of integers must be integers, as in PyTorch's add; these of PyTorch's cut the fraction off",
              lambda case, ours, theirs: "must be an int" in ours.get("message", "")),
    Deviation("topk",
              "PyTorch 1.13 has no kernel for bool",
              lambda case, ours, theirs: "results" in ours and "not implemented for 'Bool'" in str(theirs)),
    Deviation("clamp_?",
              "a scalar tensor beside a number stays a tensor in promotion; PyTorch takes it for a number",
              lambda case, ours, theirs: both_worked(ours, theirs) and scalar_beside_number(case)),
    Deviation("(add|sub|rsub)_?",
              "alpha times other may overflow before it is added; PyTorch's vectors multiply and add in one step",
              lambda case, ours, theirs: both_worked(ours, theirs) and case.values["alpha"] not in (1, -1) and theirs[0].is_floating_point()),
    Deviation("prod",
              "the product of bools is whether all are true; PyTorch 1.13 overlooks some of more than a hundred",
              lambda case, ours, theirs: both_worked(ours, theirs) and theirs[0].dtype == torch.bool),
    Deviation("tril|triu",
              "what is no matrix is refused whatever its size; PyTorch 1.13 answers where there is nothing to compute",
              lambda case, ours, theirs: "error" in ours and isinstance(theirs, list) and theirs[0].numel() == 0),
    Deviation("cumprod|cumsum",
              "a scalar is converted as other tensors are; PyTorch 1.13 refuses a scalar that the dtype cannot hold",
              lambda case, ours, theirs: "without overflow" in str(theirs) and next(case.operands()).dim() == 0),
    Deviation("linalg_solve_triangular",
              "both operands have one dtype; PyTorch 1.13 reads the bytes of one as the other's dtype",
              lambda case, ours, theirs: ours.get("error") == "dtype"),
    Deviation("logsumexp",
              "an empty list of dimensions means all of them, as in sum; PyTorch 1.13 fails",
              lambda case, ours, theirs: "results" in ours and isinstance(theirs, Exception) and case.values["dim"] == []),
]


def find_deviation(case, ours, theirs):
    return next((deviation for deviation in DEVIATIONS if deviation.covers(case, ours, theirs)), None)


def is_hazard(case):
    """Calls that PyTorch 1.13 does not survive or does not define: they are drawn anew."""
    if re.search(r"(div|remainder|fmod)", case.row["name"]):
        return divides_smallest(case)
    if case.row["name"] == "index_select":
        # It writes as many elements as there are indices into a result of one.
        return case.values["self"].dim() == 0 and case.values["index"].numel() != 1
    return False


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
