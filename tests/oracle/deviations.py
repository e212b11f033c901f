"""Where tabtensor answers something else than PyTorch on purpose, and what PyTorch cannot be asked. Each with its reason; nothing is skipped unsaid.

A deviation is consulted only when an answer differs. `matches(case, ours, theirs)` sees the drawn call (domains.Case), our answer (the driver's
JSON object) and PyTorch's (an exception, or a list of tensors).
"""

import base64
import re
from dataclasses import dataclass
from typing import Callable

import numpy
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


def leaves_nothing_to_do(tensor):
    return tensor.numel() <= 1 or 1 in tensor.shape


def scalar_beside_number(case):
    values = list(case.values.values())
    return any(isinstance(value, torch.Tensor) and value.dim() == 0 for value in values[1:]) and \
        any(isinstance(value, (int, float)) for value in values[1:])


def element_pairs(ours, theirs):
    """Our elements and PyTorch's of the first result, as float64; None where dtypes or shapes differ already."""
    if not both_worked(ours, theirs) or ours["results"][0]["dtype"] != str(theirs[0].dtype)[6:] or ours["results"][0]["shape"] != list(theirs[0].shape):
        return None
    values = numpy.frombuffer(base64.b64decode(ours["results"][0]["data"]), dtype=ours["results"][0]["dtype"])
    return torch.from_numpy(values.astype("float64")), theirs[0].double().reshape(-1)


def is_equal_but_for(ours, theirs, may_differ):
    """Whether the elements that differ are all ones of which may_differ(ours, theirs) holds; 0.0 and -0.0 are equal here."""
    pairs = element_pairs(ours, theirs)
    if pairs is None:
        return False
    a, b = pairs
    return bool(((a == b) | (a.isnan() & b.isnan()) | may_differ(a, b)).all())


def nothing(a, b):
    return torch.zeros_like(a, dtype=torch.bool)


def overflows(a, b):
    return (a.abs() > 1e38) | (b.abs() > 1e38) | a.isnan() | b.isnan()


def shares_self(ours, theirs):
    return is_equal_but_for(ours, theirs, nothing) and ours["results"][0]["shares"] == -1


def differs_by_less_than(ours, theirs, n_eps):
    pairs = element_pairs(ours, theirs)
    return pairs is not None and bool(((pairs[0] - pairs[1]).abs() <= n_eps * torch.finfo(theirs[0].dtype).eps).all())


def has_numbers_that_are_no_floats(case):
    return any(not operand.is_floating_point() for operand in case.operands())


def decoded(ours):
    """Our results in float64."""
    return [torch.from_numpy(numpy.frombuffer(base64.b64decode(result["data"]), dtype=result["dtype"]).astype("float64").reshape(result["shape"]))
            for result in ours["results"]]


def is_close_to(a, b, dtype):
    return bool(((a - b).abs() <= (1e-4 if dtype == torch.float32 else 1e-10) * max(1.0, b.abs().max().item() if b.numel() else 1.0)).all())


def is_orthonormal(columns, dtype):
    return is_close_to(columns.mT @ columns, torch.eye(columns.shape[-1], dtype=torch.float64), dtype)


def has_other_vectors(case, ours, theirs):
    """Eigenvectors that are as good: orthonormal, of PyTorch's eigenvalues and of the matrix."""
    if not both_worked(ours, theirs):
        return False
    a, dtype = case.values["self"].double(), theirs[0].dtype
    half = a.tril() + a.tril(-1).mT if case.values["UPLO"] == "L" else a.triu() + a.triu(1).mT
    values, vectors = decoded(ours)
    return is_close_to(values, theirs[0].double(), dtype) and is_orthonormal(vectors, dtype) and is_close_to(vectors * values[..., None, :] @ vectors.mT, half, dtype)


def has_other_singular_vectors(case, ours, theirs):
    if not both_worked(ours, theirs):
        return False
    a, dtype = case.values["A"].double(), theirs[0].dtype
    u, s, vh = decoded(ours)
    k = s.shape[-1]
    return ([list(part.shape) for part in (u, s, vh)] == [list(part.shape) for part in theirs] and is_close_to(s, theirs[1].double(), dtype)
            and is_orthonormal(u, dtype) and is_orthonormal(vh.mT, dtype) and is_close_to(u[..., :k] * s[..., None, :] @ vh[..., :k, :], a, dtype))


DEVIATIONS = [
    Deviation("to|type_as|bool|byte|int|long|float|double",
              "a conversion always makes a tensor of its own; PyTorch answers self when there is nothing to convert",
              lambda case, ours, theirs: shares_self(ours, theirs) and theirs[0].dtype == next(case.operands()).dtype),
    Deviation(".*_",
              "no op writes through an expanded view; PyTorch lets these",
              lambda case, ours, theirs: ours.get("error") == "argument" and 0 in next(case.operands()).stride()),
    Deviation("clamp.*|maximum|minimum",
              "between 0.0 and -0.0 PyTorch chooses otherwise in vectors and in what is left behind them",
              lambda case, ours, theirs: is_equal_but_for(ours, theirs, nothing)),
    Deviation(".*",
              "a dtype that an op does not take is refused whatever the sizes; PyTorch answers where there is nothing to compute",
              lambda case, ours, theirs: ours.get("error") == "dtype" and any(map(leaves_nothing_to_do, case.operands()))),
    Deviation("norm",
              "PyTorch 1.13 refuses some norms over three dimensions or more, which are sums like any other",
              lambda case, ours, theirs: "results" in ours and "at most 2 dimensions" in str(theirs)),
    Deviation("unbind|split|chunk|tensor_split",
              "one call answers at most 64 results",
              lambda case, ours, theirs: "64" in ours.get("message", "") and len(theirs) > 64),
    Deviation("index_add_?",
              "the source has self's shape along all other dimensions; PyTorch 1.13 broadcasts each of its slices where it can",
              lambda case, ours, theirs: ours.get("error") == "shape" and isinstance(theirs, list)),
    Deviation("clamp_?",
              "a scalar tensor beside a number stays a tensor in promotion; PyTorch takes it for a number",
              lambda case, ours, theirs: both_worked(ours, theirs) and scalar_beside_number(case)),
    Deviation("(add|sub|rsub)_?",
              "alpha times other may overflow before it is added; PyTorch's vectors multiply and add in one step",
              lambda case, ours, theirs: case.values["alpha"] not in (1, -1) and is_equal_but_for(ours, theirs, overflows)),
    Deviation("prod",
              "the product of bools is whether all are true; PyTorch 1.13 overlooks some of more than a hundred",
              lambda case, ours, theirs: both_worked(ours, theirs) and theirs[0].dtype == torch.bool),
    Deviation("(tril|triu)_?",
              "what is no matrix is refused whatever its size; PyTorch 1.13 answers where there is nothing to compute",
              lambda case, ours, theirs: "error" in ours and isinstance(theirs, list) and theirs[0].numel() == 0),
    Deviation("cumprod|cumsum",
              "a scalar is converted as other tensors are; PyTorch 1.13 refuses a scalar that the dtype cannot hold",
              lambda case, ours, theirs: "without overflow" in str(theirs) and next(case.operands()).dim() == 0),
    Deviation("linalg_solve_triangular",
              "both operands have one dtype; PyTorch 1.13 reads the bytes of one as the other's dtype",
              lambda case, ours, theirs: ours.get("error") == "dtype"),
    Deviation("einsum|meshgrid",
              "the results are tensors of their own; PyTorch answers views where it can",
              lambda case, ours, theirs: both_worked(ours, theirs) and ours["results"][0]["shares"] == -1 and is_equal_but_for(ours, theirs, nothing)),
    Deviation("baddbmm",
              "where beta is 0 self is not read; PyTorch 1.13 multiplies what its result's memory held before",
              lambda case, ours, theirs: case.values["beta"] == 0 and
              is_equal_but_for(ours, theirs, lambda a, b: b.isnan() | torch.isclose(a, b, rtol=1e-4, atol=1e-4))),
    Deviation("baddbmm",
              "operands have one dtype; PyTorch 1.13 takes integers of several",
              lambda case, ours, theirs: ours.get("error") == "dtype" and isinstance(theirs, list)),
    Deviation("kron",
              "the layout of memory does not matter; PyTorch 1.13 fails for some strides",
              lambda case, ours, theirs: "results" in ours and "view size is not compatible" in str(theirs)),
    Deviation("isclose|allclose",
              "operands broadcast each other; PyTorch 1.13 fails where the first grows",
              lambda case, ours, theirs: "results" in ours and "doesn't match the broadcast shape" in str(theirs)),
    Deviation("(index_copy|put|index_fill|masked_scatter)_",
              "an operand that lies in self's memory is read as it was before the call; PyTorch refuses it",
              lambda case, ours, theirs: "results" in ours and "single memory location" in str(theirs)),
    Deviation("masked_scatter_",
              "the source is read in the order of self's elements; PyTorch 1.13 goes in the order of its memory",
              lambda case, ours, theirs: both_worked(ours, theirs)
              and not (case.values["self"].is_contiguous() and case.values["mask"].shape == case.values["self"].shape
                       and case.values["source"].base_values is not case.values["self"].base_values)),
    Deviation("addcdiv_?",
              "operands of several dtypes are computed in the one they come to; PyTorch 1.13 divides in float32 first",
              lambda case, ours, theirs: len({tensor.dtype for tensor in case.operands()}) > 1
              and is_equal_but_for(ours, theirs, lambda a, b: torch.isclose(a, b, rtol=1e-5, atol=1e-5))),
    Deviation("constant_pad_nd",
              "a value that the dtype cannot hold is refused also where nothing is filled with it",
              lambda case, ours, theirs: ours.get("error") == "argument" and "cannot be converted" in ours["message"]),
    Deviation("einsum",
              "the result has the operands' dtype; PyTorch makes int64 of int32 where it sums without a product",
              lambda case, ours, theirs: both_worked(ours, theirs) and ours["results"][0]["dtype"] == "int32" and theirs[0].dtype == torch.int64),
    Deviation("einsum",
              "operands have one dtype; PyTorch takes several where nothing is summed",
              lambda case, ours, theirs: ours.get("error") == "dtype" and isinstance(theirs, list)),
    Deviation("pad",
              "an empty tensor is padded like others; PyTorch refuses some",
              lambda case, ours, theirs: "results" in ours and not isinstance(theirs, list) and case.values["self"].numel() == 0),
    Deviation(".*",
              "PyTorch 1.13 stumbles over its own assertions",
              lambda case, ours, theirs: "results" in ours and "INTERNAL ASSERT FAILED" in str(theirs)),
    Deviation("polygamma",
              "the first derivative of digamma has all its digits; PyTorch 1.13's has ten",
              lambda case, ours, theirs: case.values["n"] == 1 and is_equal_but_for(ours, theirs, lambda a, b: torch.isclose(a, b, rtol=1e-8))),
    Deviation("cummax|cummin",
              "a dimension out of range is refused also of an empty tensor",
              lambda case, ours, theirs: ours.get("error") == "index" and next(case.operands()).numel() == 0),
    Deviation("bincount",
              "weights are checked, and give their dtype, also where there is nothing to count",
              lambda case, ours, theirs: isinstance(theirs, list) and case.values["self"].numel() == 0),
    Deviation("linalg_eigh",
              "eigenvectors are determined up to their sign; here the largest component is positive",
              has_other_vectors),
    Deviation("linalg_svd",
              "singular vectors are determined up to the sign of each pair",
              has_other_singular_vectors),
    Deviation("logsumexp",
              "an empty list of dimensions means all of them, as in sum; PyTorch 1.13 fails",
              lambda case, ours, theirs: "results" in ours and isinstance(theirs, Exception) and case.values["dim"] == []),
]


NETWORK_DEVIATIONS = [
    Deviation("relu6|hardtanh_?|softsign|tanhshrink|threshold(_|_backward)?",
              "activations take float32 and float64; PyTorch lets integers through some of them",
              lambda case, ours, theirs: ours.get("error") == "dtype"),
    Deviation("dropout",
              "a dropout that drops nothing makes a tensor of its own; PyTorch answers self",
              lambda case, ours, theirs: (not case.values["training"] or case.values["p"] == 0) and ours["results"][0]["shares"] == -1),
    Deviation("conv[12]d|conv_transpose[12]d",
              "an empty batch has an empty answer; PyTorch 1.13 refuses some that are not contiguous",
              lambda case, ours, theirs: "results" in ours and "view size is not compatible" in str(theirs)),
    Deviation("conv1d|conv2d|conv_transpose[12]d",
              "the bias has the input's dtype; PyTorch 1.13 lets others pass where it computes by another way",
              lambda case, ours, theirs: ours.get("error") == "dtype" and case.values["bias"].dtype != case.values["weight"].dtype),
    Deviation("conv_transpose[12]d",
              "output_padding is smaller than the stride; PyTorch also lets it be smaller than the dilation alone",
              lambda case, ours, theirs: ours.get("error") == "argument" and "output_padding" in ours["message"]),
    Deviation("max_pool1d",
              "a window that does not fit is refused; PyTorch 1.13 forgets to look",
              lambda case, ours, theirs: ours.get("error") == "shape" and isinstance(theirs, list) and theirs[0].numel() == 0
              or "do not fit" in ours.get("message", "")),
    Deviation("s?elu_?|celu_?",
              "exp(x) - 1 keeps its digits near 0; PyTorch takes 1 away from what is rounded",
              lambda case, ours, theirs: differs_by_less_than(ours, theirs, 8)),
    Deviation("batch_norm",
              "the statistics' shapes are looked at whatever the sizes; PyTorch answers where there is nothing to compute",
              lambda case, ours, theirs: "error" in ours and next(case.operands()).numel() == 0),
    Deviation("instance_norm",
              "no samples have an answer without samples; PyTorch 1.13 looks for the first one",
              lambda case, ours, theirs: "results" in ours and next(case.operands()).numel() == 0),
    Deviation("(batch|layer|group|instance)_norm",
              "the mean is not rounded before it is taken away; a small eps makes PyTorch's rounding 300 times larger",
              lambda case, ours, theirs: case.values["eps"] < 0.1 and differs_by_less_than(ours, theirs, 3000)),
    Deviation(".*_loss|l1_loss|kl_div|binary_cross_entropy.*",
              "operands of other dtypes or several are promoted as in arithmetic, or refused; in PyTorch it differs from loss to loss",
              lambda case, ours, theirs: has_numbers_that_are_no_floats(case) or len({operand.dtype for operand in case.operands()}) > 1),
    Deviation("(adaptive_)?avg_pool[12]d",
              "means are of float32 and float64; PyTorch 1.13 takes int64 here and there",
              lambda case, ours, theirs: ours.get("error") == "dtype"),
    Deviation("adaptive_avg_pool1d",
              "an image without channels is refused; PyTorch looks at that in two dimensions only",
              lambda case, ours, theirs: ours.get("error") == "shape" and 0 in next(case.operands()).shape),
]
DEVIATIONS += NETWORK_DEVIATIONS


def find_deviation(case, ours, theirs):
    return next((deviation for deviation in DEVIATIONS if deviation.covers(case, ours, theirs)), None)


@dataclass
class GradientDeviation:
    rows: str
    reason: str
    matches: Callable  # (gradients.GradientCase, number of the operand, our gradient or None for zeros, PyTorch's)


def is_near(ours, theirs):
    return ours is not None and bool(torch.isclose(ours, theirs, rtol=1e-3, atol=1e-4 * max(1.0, theirs.abs().max().item())).all())


def spread(gradient_case):
    """The standard deviations that a case asks for."""
    dim = gradient_case.case.values["dim"]
    x = gradient_case.operands[0].detach().double()
    return x.std(list(range(x.dim())) if dim is None else dim, unbiased=False)


def read_half(gradient_case, theirs):
    half = torch.triu if gradient_case.case.values["upper"] else torch.tril
    return half(theirs)


GRADIENT_DEVIATIONS = [
    GradientDeviation("logical_.*_",
                      "a truth value has no gradient; PyTorch 1.13 forgets that these in-place ops make one and lets what flows back pass",
                      lambda g, i, ours, theirs: i == 0 and ours is None),
    GradientDeviation("masked_select",
                      "PyTorch 1.13 lays the gradient of permuted memory out in memory's order",
                      lambda g, i, ours, theirs: i == 0 and not g.operands[0].is_contiguous() and is_near(ours.sum(), theirs.sum())),
    GradientDeviation("atan2_?",
                      "at the origin the gradient is zero; PyTorch 1.13 says NaN",
                      lambda g, i, ours, theirs: bool((theirs.isnan() | torch.isclose(ours, theirs)).all())
                      and bool((torch.hypot(g.operands[0].double(), g.operands[1].double()) == 0).any())),
    GradientDeviation("std(_mean)?",
                      "where all values are equal the gradient is zero, or rounding divided by rounding",
                      lambda g, i, ours, theirs: float(spread(g).min()) < 1e-5),
    GradientDeviation("(var|std)(_mean)?",
                      "an empty list of dimensions means all of them, as in the value; PyTorch 1.13's gradient counts one element then",
                      lambda g, i, ours, theirs: g.case.values["dim"] == []),
    GradientDeviation("(var|std)(_mean)?",
                      "the gradient of the variance of one value is NaN as the variance is; PyTorch 1.13 says infinite for a scalar",
                      lambda g, i, ours, theirs: ours.numel() == 1 and bool(ours.isnan().all())),
    GradientDeviation("cholesky_solve",
                      "the half of the factor that is not read has no gradient; PyTorch gives it that of the other half's mirror",
                      lambda g, i, ours, theirs: i == 1 and is_near(ours, read_half(g, theirs))),
    GradientDeviation("index_fill_?",
                      "a value that is put nowhere has a gradient of zero; PyTorch 1.13 answers what memory held",
                      lambda g, i, ours, theirs: i == 2 and g.operands[1].numel() == 0),
    GradientDeviation("trace",
                      "below the diagonal of a tall matrix there are zeros; PyTorch 1.13 writes on behind its end",
                      lambda g, i, ours, theirs: g.operands[0].shape[0] > g.operands[0].shape[1]),
    GradientDeviation("digamma_?|polygamma",
                      "the derivative has all its digits; PyTorch 1.13's has ten",
                      lambda g, i, ours, theirs: bool(torch.isclose(ours, theirs, rtol=1e-7, atol=1e-9).all())),
    GradientDeviation("linalg_eigh",
                      "what flows back into eigenvectors depends on their sign; finite differences check it (tests/c/test_gradients.c)",
                      lambda g, i, ours, theirs: g.weights[1] is not None),
    GradientDeviation("linalg_svd",
                      "what flows back into singular vectors depends on their sign; finite differences check it (tests/c/test_gradients.c)",
                      lambda g, i, ours, theirs: g.weights[0] is not None or g.weights[2] is not None),
    GradientDeviation("det",
                      "a determinant that overflows has no gradient to compare",
                      lambda g, i, ours, theirs: g.weights[0].dtype == torch.float32 and not bool(ours.isfinite().all()) and not bool(theirs.isfinite().all())),
]

GRADIENT_DEVIATIONS += [
    GradientDeviation("hardsigmoid",
                      "the slope is a sixth in double; PyTorch 1.13 has it in single",
                      lambda g, i, ours, theirs: is_near(ours, theirs)),
    GradientDeviation("gelu",
                      "PyTorch 1.13's gradient in single precision reads past what flows back where that is strided",
                      lambda g, i, ours, theirs: ours.dtype == torch.float32 and not g.weights[0].is_contiguous()),
    GradientDeviation("(batch|layer|group|instance)_norm",
                      "a small eps makes the rounding of the mean 300 times larger",
                      lambda g, i, ours, theirs: g.case.values["eps"] < 0.1 and is_near(ours, theirs)),
    GradientDeviation("smooth_l1_loss",
                      "without a smooth part the loss is l1_loss and has its gradient of 0 at 0; PyTorch's has that of one side",
                      lambda g, i, ours, theirs: g.case.values["beta"] == 0),
    GradientDeviation("cosine_embedding_loss",
                      "beside a vector of zeros the slope is a million, and rounding as much larger",
                      lambda g, i, ours, theirs: theirs.abs().max() > 1e4 and is_near(ours, theirs)),
    GradientDeviation("cosine_similarity",
                      "a length below eps counts as eps, which is constant; PyTorch's gradient goes on through the length",
                      lambda g, i, ours, theirs: g.case.values["eps"] == 0.5),
    GradientDeviation("(native_)?dropout",
                      "the masks are drawn by other generators (tests/c/test_networks.c checks that a gradient has its call's own)",
                      lambda g, i, ours, theirs: True),
]


def has_other_gradient(gradient_case, i, ours, theirs):
    """The place in GRADIENT_DEVIATIONS of what covers this difference; None when nothing does."""
    return next((place for place, deviation in enumerate(GRADIENT_DEVIATIONS)
                 if re.fullmatch(deviation.rows, gradient_case.case.row["name"]) and deviation.matches(gradient_case, i, ours, theirs)), None)


def is_hazard(case):
    """Calls that PyTorch 1.13 does not survive or does not define: they are drawn anew."""
    if re.search(r"(div|remainder|fmod)", case.row["name"]):
        return divides_smallest(case)
    if case.row["name"] == "index_select":
        # It writes as many elements as there are indices into a result of one.
        return case.values["self"].dim() == 0 and case.values["index"].numel() != 1
    # These write as many elements as grad_output has, whatever its shape.
    return case.is_probe and case.row["name"].startswith(("_adaptive_avg_pool2d_backward", "avg_pool2d_backward"))


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
