"""Compares the gradient rule of a row with PyTorch's own gradients, from the row alone.

The operands of a drawn call become leaves, what flows back is drawn with strides of its own, and torch.autograd.grad answers what each needed operand
must get; the driver runs our rule on plain tensors (its head says how). Values are finite here. Most draws have no ties or zeros, where a gradient is a
matter of choice; the others have, because PyTorch's choice is ours too unless deviations.py says why not. A row without a rule must have none in
PyTorch either, or zeros.
"""

import re
import warnings

import torch
from deviations import has_other_gradient, is_hazard
from domains import DTYPE_NAMES, Storage, draw_layout

MIN_COMPARED = 6  # calls whose gradients must have been compared before a row may pass
MAX_RESULTS = 64  # of one call (ops/op.h)
FLOATS = ("float32", "float64")


def written_params(row):
    """The parameters that the call changes: "Tensor(b!) running_mean"."""
    return set(re.findall(r"\(\w!\)\??\s+(\w+)", row["schema"].split("->")[0]))


def has_gradients(row, drawer):
    return any(param["type"].startswith("Tensor") for param in row["params"]) and any(name in FLOATS for name in drawer.dtypes)


class GradientCase:
    """A drawn call with what is asked of its gradients."""

    def __init__(self, case, rng):
        self.case = case
        written = written_params(case.row)
        self.values = {}
        self.leaves = []  # in the order of the operands; None for one that takes no gradient
        self.operands = list(case.operands())
        floating = [i for i, tensor in enumerate(self.operands) if tensor.is_floating_point()]
        needed = set(floating)
        if len(floating) > 1 and rng.random() < 0.4:
            needed = {floating[rng.integers(len(floating))]}
        for name, value in case.values.items():
            if isinstance(value, torch.Tensor):
                leaf = self.leaf(value, needed)
                # Written operands other than self are state: PyTorch's have no gradient.
                self.values[name] = leaf.clone() if name in written else leaf
            elif isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
                self.values[name] = [self.leaf(item, needed) for item in value]
            else:
                self.values[name] = value
        self.weights = []

    def leaf(self, tensor, needed):
        leaf = tensor.detach()
        place = len(self.leaves)
        self.leaves.append(leaf.requires_grad_() if place in needed else None)
        return leaf

    @property
    def needs(self):
        return [leaf is not None for leaf in self.leaves]

    def draw_weights(self, results, rng):
        """One for each result that depends on a leaf; now and then nothing flows back into one of several."""
        places = [i for i, result in enumerate(results) if result.requires_grad]
        left_out = rng.integers(len(places)) if len(places) > 1 and rng.random() < 0.4 else None
        for i, result in enumerate(results):
            if i not in places or left_out is not None and i == places[left_out]:
                self.weights.append(None)
                continue
            strides, offset, length = draw_layout(rng, list(result.shape), True, True)
            values = torch.from_numpy(rng.uniform(-1, 1, length)).to(result.dtype)
            self.case.storages.append(Storage(values))
            weight = torch.as_strided(values, list(result.shape), strides, offset)
            weight.base_values = values
            self.weights.append(weight)

    def ask_torch(self, call, rng):
        """PyTorch's gradient of each leaf, zeros where nothing flows; an exception; or None where no result depends on a leaf."""
        with torch.enable_grad():
            results = call(self.case, self.values)
        if isinstance(results, Exception):
            return results
        if len(results) > MAX_RESULTS:
            return None
        self.draw_weights(results, rng)
        pairs = [(result, weight) for result, weight in zip(results, self.weights) if weight is not None]
        leaves = [leaf for leaf in self.leaves if leaf is not None]
        if not pairs or not leaves:
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = torch.autograd.grad([result for result, _ in pairs], leaves, [weight for _, weight in pairs], allow_unused=True)
        except RuntimeError as error:
            return error
        found = [torch.zeros_like(leaf) if grad is None else grad.detach().clone() for leaf, grad in zip(leaves, found)]
        places = iter(found)
        return [None if leaf is None else next(places) for leaf in self.leaves]

    def describe(self):
        weights = [None if weight is None else list(weight.shape) if weight.numel() > 12 else weight.tolist() for weight in self.weights]
        return f"{self.case.describe()}, flowing back {weights}"


def largest(tensors):
    """The largest finite magnitude in any of them."""
    return max([tensor.double().abs().nan_to_num(0, 0, 0).max().item() for tensor in tensors if tensor is not None and tensor.numel() > 0] + [0.0])


def difference(gradient_case, i, ours, theirs):
    """What is wrong with the gradient of operand i; None when it agrees."""
    operand = gradient_case.operands[i]
    if ours is None:
        ours = torch.zeros(theirs.shape, dtype=theirs.dtype)
    if ours.dtype != operand.dtype or list(ours.shape) != list(operand.shape):
        return f"{DTYPE_NAMES[ours.dtype]}{list(ours.shape)}, the operand is {DTYPE_NAMES[operand.dtype]}{list(operand.shape)}"
    if theirs.numel() == 0:
        return None
    tensors = gradient_case.operands + gradient_case.weights
    narrow = any(tensor is not None and tensor.dtype == torch.float32 for tensor in tensors)
    longest = max([size for tensor in tensors if tensor is not None for size in tensor.shape]
                  + [weight.numel() // theirs.numel() for weight in gradient_case.weights if weight is not None] + [1])
    factor = 400 if gradient_case.case.row["tolerance"] == "solve" else 10
    allowed = factor * torch.finfo(torch.float32 if narrow else torch.float64).eps * (8 + longest)
    # Rounding is relative to the terms that were added up, not to what was left of them.
    scale = max(largest([theirs]), largest(gradient_case.weights))
    a, b = ours.double(), theirs.double()
    same = (a == b) | (a.isnan() & b.isnan()) | ((a - b).abs() <= allowed * scale)
    if bool(same.all()):
        return None
    at = (~same).reshape(-1).nonzero()[0].item()
    return (f"{int((~same).sum())} of {theirs.numel()} elements differ; the first, at {at}, is {ours.reshape(-1)[at].item()!r}, "
            f"PyTorch {theirs.reshape(-1)[at].item()!r}")


class GradientReport:
    def __init__(self):
        self.n_same = self.n_without = 0
        self.without = ""  # why PyTorch answered none
        self.deviations = []
        self.wrong = []


def draw_cases(row, drawer, options, rng_of, call):
    """[(case, PyTorch's gradients or None, the request)]; calls that PyTorch refuses or that do not depend on an operand are left out."""
    report, drawn = GradientReport(), []
    n_cases = options.gradients if row["differentiable"] else min(options.gradients, 6)
    for index in range(n_cases):
        rng = rng_of(index)
        try:
            case = drawer.draw(rng, index, for_gradient=True)
            while is_hazard(case):
                case = drawer.draw(rng, index, for_gradient=True)
        except ValueError as error:
            report.wrong.append(str(error))
            break
        gradient_case = GradientCase(case, rng)
        theirs = gradient_case.ask_torch(call, rng)
        if theirs is None or isinstance(theirs, Exception):
            report.n_without += 1
            report.without = f"{case.describe()}: {theirs}"
            continue
        drawn.append((gradient_case, theirs))
    return report, drawn


def judge(report, row, gradient_case, theirs, ours, tensor_of):
    """Adds what is to be said of one call to the report."""
    if "error" in ours:
        report.wrong.append(f"{gradient_case.describe()}\n        the error \"{ours['message']}\", where PyTorch has gradients")
        return
    for i, expected in enumerate(theirs):
        if expected is None:
            continue
        found = ours["gradients"][i]
        wrong = difference(gradient_case, i, None if found is None else tensor_of(found), expected)
        if wrong is None:
            continue
        deviation = has_other_gradient(gradient_case, i, None if found is None else tensor_of(found), expected)
        if deviation is None:
            report.wrong.append(f"{gradient_case.describe()}\n        the gradient of operand {i}: {wrong}")
        else:
            report.deviations.append(deviation)
        return
    report.n_same += 1


def compare_gradients(row, drawer, options, rng_of, call, ask_driver, tensor_of):
    """The report of a row. `call(case, values)` asks PyTorch, `ask_driver(gradient_cases)` answers as many JSON objects as there are cases."""
    report, drawn = draw_cases(row, drawer, options, rng_of, call)
    if row["differentiable"]:
        for (gradient_case, theirs), ours in zip(drawn, ask_driver([gradient_case for gradient_case, _ in drawn], report)):
            if "broken" in ours:
                report.wrong.append(f"{gradient_case.describe()}\n        {ours['broken']}")
            else:
                judge(report, row, gradient_case, theirs, ours, tensor_of)
        n_compared = report.n_same + len(report.deviations)
        if not report.wrong and n_compared < min(MIN_COMPARED, max(1, options.gradients // 12)):
            report.wrong.append(f"only {n_compared} calls whose gradients could be compared; PyTorch has none for {report.without}")
        return report
    for gradient_case, theirs in drawn:
        if largest(theirs) == 0:
            continue
        places = [i for i, found in enumerate(theirs) if found is not None and largest([found]) > 0]
        deviation = has_other_gradient(gradient_case, places[0], None, theirs[places[0]])
        if deviation is None:
            report.wrong.append(f"{gradient_case.describe()}\n        PyTorch has a gradient, the row has none")
        else:
            report.deviations.append(deviation)
    return report
