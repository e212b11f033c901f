#!/usr/bin/python3
"""Compares every row of numpy.def, and how arrays are printed, with NumPy itself.

    tests/oracle/compare_numpy.py [--cases N] [--seed N] [--driver "COMMAND"] [--starve] [ROW...]

Arguments are drawn from the row's signature and domain words, the same ones for the same seed; what a signature cannot tell is drawn by the functions of
SPECIAL. A call must answer NumPy's values, dtype and shape; where NumPy raises, it must fail with an error of that kind. The row "print" compares str() and
repr(). The driver is build/release/numpy_driver unless another is named.
"""

import argparse
import json
import shlex
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
MIN_COMPARED = 8  # answers that a row needs before it may pass
DTYPES = {"all": "bool uint8 int32 int64 float32 float64", "number": "uint8 int32 int64 float32 float64", "whole": "bool uint8 int32 int64", "float": "float32 float64", "signed": "bool int32 int64 float32 float64"}
# What NumPy answers and no tensor here has, and what the answer is here.
WIDENED = {"int8": "int32", "int16": "int32", "uint16": "int32", "uint32": "int64", "uint64": "int64", "float16": "float32"}
# Where fewer dtypes may be asked for than NumPy takes.
ASKED = {"mean": "float", "var": "float", "std": "float", "nanmean": "float", "cumsum": "number", "cumprod": "number"}
# Which of our kinds of error NumPy's exceptions may be.
KINDS = [(np.AxisError, {"index"}), (IndexError, {"index"}), (np.linalg.LinAlgError, {"shape", "numeric"}),
         (TypeError, {"dtype", "argument", "shape", "index"}), (ValueError, {"shape", "argument", "index", "full"})]


class Differs(Exception):
    pass


# ---- drawing ----

class Draw:
    def __init__(self, row, rng):
        self.row, self.rng = row, rng
        self.words = {}
        for part in filter(None, row["domain"].split("; ")):
            key, _, word = part.partition("=")
            self.words[key] = word
        self.dtypes = DTYPES[self.words.get("dtypes", "all")].split()

    def chance(self, p):
        return self.rng.random() < p

    def one_of(self, items):
        return items[int(self.rng.integers(len(items)))]

    def int(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def shape(self, least=0, most=4, empty=True):
        low = 1 if "nonempty" in self.words or not empty or not self.chance(0.08) else 0
        return tuple(self.int(low, 4) for _ in range(self.int(least, most)))

    def values(self, dtype, shape, word):
        kind = np.dtype(dtype).kind
        n = int(np.prod(shape))
        if kind == "b" or word == "bool":
            return self.rng.integers(word in ("nonzero", "positive"), 2, n).astype(bool).reshape(shape)
        if kind in "iu":
            low, high = {"positive": (1, 9), "nonzero": (1, 9), "nonnegative": (0, 9), "small": (0, 3), "unit": (0, 1)}.get(word, (-9, 9))
            values = self.rng.integers(low, high + 1, n)
            if word == "distinct":
                values = self.rng.permutation(n) - (n // 2 if kind == "i" else 0)
            if word == "nonzero" and kind == "i":
                values = values * self.rng.choice([-1, 1], n)
            return (abs(values) if kind == "u" else values).astype(dtype).reshape(shape)
        if word == "small":
            values = self.rng.integers(0, 4, n).astype(float)
        elif word == "distinct":
            values = self.rng.permutation(n) * 0.75 - n / 4
        else:
            low, high = {"positive": (0.1, 4), "nonnegative": (0, 4), "unit": (-0.95, 0.95)}.get(word, (-4, 4))
            values = self.rng.uniform(low, high, n)
        if word == "nonzero":
            values = np.where(abs(values) < 0.25, values + 1, values)
        if word is None and n > 0 and self.chance(0.4):
            values[self.rng.random(n) < 0.2] = self.one_of([np.nan, np.inf, -np.inf, 0.0, -0.0])
        return values.astype(dtype).reshape(shape)

    def array(self, shape, name=None, dtype=None, word=None):
        word = word or self.words.get(name)
        dtype = dtype or (self.one_of(DTYPES["whole"].split()) if word == "whole" else self.one_of(self.dtypes))
        array = self.values(dtype, shape, word)
        return np.asfortranarray(array) if array.ndim > 1 and self.chance(0.25) else array

    def broadcast(self, shape):
        """A shape that goes with another, mostly."""
        if self.chance(0.08):
            return self.shape()
        short = shape[self.int(0, len(shape)):] if self.chance(0.4) else shape
        return tuple(1 if self.chance(0.2) else size for size in short)

    def number(self, name=None):
        word = self.words.get(name)
        if word == "whole" or (self.chance(0.6) and word not in ("unit",)):
            value = self.int(1, 9) if word in ("positive", "nonzero") else self.int(0, 3) if word == "small" else self.int(0, 9) if word == "whole" else self.one_of([self.int(-9, 9), self.int(0, 9), 300, 70000 if self.row["name"] in ("add", "multiply", "maximum", "where") else -1])
            return value
        if self.chance(0.1) and word is None:
            return self.chance(0.5)
        return float(np.round(self.rng.uniform(0.3, 4), 3)) * (1 if word in ("positive", "nonnegative", "small") else self.one_of([1, -1]))

    def axis(self, ndim):
        if self.chance(0.05):
            return self.one_of([ndim, -ndim - 1, 7])
        return self.int(-ndim, ndim - 1) if ndim > 0 else 0

    def axes(self, ndim):
        if self.chance(0.3):
            return None
        if self.chance(0.5):
            return self.axis(ndim)
        return tuple(int(axis) for axis in self.rng.permutation(ndim)[:self.int(0, ndim)])

    def call(self):
        """Arguments by name, in the order of the signature; a parameter that is left out is not there."""
        special = SPECIAL.get(self.row["name"])
        if special is not None:
            return special(self)
        args, shape = {}, self.shape(1 if self.row["name"] in ("quantile", "percentile") else 0)
        mixed = [param["name"] for param in self.row["params"] if param["type"] == "Tensor|Scalar" and not param["optional"]]
        array_at = self.one_of(mixed) if mixed else None
        for param in self.row["params"]:
            name, kind, word = param["name"], param["type"], self.words.get(param["name"])
            if word == "none" or (param["optional"] and kind == "Tensor"):
                continue
            if word is not None and word.startswith("="):
                args[name] = json.loads(self.one_of(word[1:].split("|")))
            elif kind == "Tensor":
                args[name] = self.array(self.broadcast(shape) if args else shape, name)
            elif kind == "Tensor|Scalar":
                if param["optional"] and self.chance(0.2):
                    continue
                scalar = name != array_at and self.chance(0.4) if mixed and not self.row["params"][0]["type"] == "Tensor" else self.chance(0.4)
                args[name] = self.number(name) if scalar else self.array(self.broadcast(shape), name)
            elif kind == "int[]" and name == "axis":
                args[name] = self.axes(len(shape))
            elif kind == "int" and name in ("axis", "axis1", "axis2"):
                args[name] = None if param["optional"] and self.chance(0.3) else self.axis(len(shape))
            elif kind == "ScalarType":
                if self.chance(0.2):
                    args[name] = self.one_of(DTYPES[ASKED.get(self.row["name"], "signed" if self.row["params"][0]["name"].startswith("x") else "all")].split())
            elif kind == "bool":
                args[name] = self.chance(0.5)
            elif kind == "int" and name in ("k", "offset"):
                args[name] = self.int(-3, 3)
            elif not param["has_default"]:
                raise Differs(f"nothing draws the argument {name} of {self.row['schema']}; see SPECIAL")
        return args


def sizes_of(draw, shape):
    """A shape with as many elements, one size left to be found out now and then."""
    n = int(np.prod(shape))
    sizes = []
    for _ in range(draw.int(0, 3)):
        divisors = [d for d in range(1, max(n, 1) + 1) if n % d == 0]
        sizes.append(draw.one_of(divisors))
        n //= max(sizes[-1], 1)
    sizes.append(n)
    if draw.chance(0.3):
        sizes[draw.int(0, len(sizes) - 1)] = -1
    return tuple(sizes) if draw.chance(0.95) else (7, 5)


def matrix(draw, name, kind, least=2):
    batch = draw.shape(0, 1, empty=False) if least == 2 else ()
    n = draw.int(1, 4)
    a = draw.rng.uniform(-1, 1, batch + (n, n))
    a = a @ np.swapaxes(a, -1, -2) + n * np.eye(n) if kind == "spd" else a + n * np.eye(n)
    dtype = draw.one_of(["float32", "float64", "int32"] if kind != "spd" else ["float32", "float64"])
    return np.round(a * 4).astype(dtype) if dtype == "int32" else a.astype(dtype)


def solve_args(draw):
    a = matrix(draw, "a", "square")
    n = a.shape[-1]
    b = draw.array(a.shape[:-1] + (draw.int(1, 3),), word="finite", dtype=draw.one_of(["float32", "float64", "int32"]))
    if a.ndim == 2 and draw.chance(0.5):
        b = b[:, 0]
    return {"a": a if draw.chance(0.95) else a[..., : n - 1] if n > 1 else a, "b": b}


def product_args(shapes):
    def draw_args(draw):
        first, second = shapes(draw)
        return {"a": draw.array(first, "a"), "b": draw.array(second, "b")}
    return draw_args


def dot_shapes(draw):
    k = draw.int(1, 4)
    first = draw.one_of([(), (k,), (draw.int(1, 3), k), (2, draw.int(1, 3), k)])
    second = draw.one_of([(), (k,), (k, draw.int(1, 3)), (2, k, draw.int(1, 3))])
    if draw.chance(0.08):
        second = tuple(size + 1 for size in second)
    return first, second


def inner_shapes(draw):
    k = draw.int(1, 4)
    return draw.one_of([(), (k,), (2, k), (2, 3, k)]), draw.one_of([(), (k,), (3, k), (2, k), (5,)])


def matmul_shapes(draw):
    k, batch = draw.int(1, 4), draw.shape(0, 2, empty=False)
    first = draw.one_of([(k,), (draw.int(1, 3), k), batch + (2, k)])
    second = draw.one_of([(k,), (k, draw.int(1, 3)), batch + (k, 3), ()])
    return first, second


def joined(least, along=True, name="arrays"):
    def draw_args(draw):
        shape = draw.shape(least, 3)
        axis = draw.axis(len(shape) + (0 if along else 1))
        arrays = []
        for _ in range(draw.int(1, 4)):
            sizes = list(shape)
            if along and sizes and draw.chance(0.5):
                sizes[axis % len(sizes)] = draw.int(0, 3)
            if draw.chance(0.03):
                sizes = sizes + [2]
            arrays.append(draw.array(tuple(sizes)))
        args = {name: arrays}
        if name == "arrays":
            args["axis"] = None if along and draw.chance(0.2) else axis
        return args
    return draw_args


def split_args(draw):
    shape = draw.shape(1, 3)
    axis = draw.axis(len(shape))
    parts = draw.int(0, 4) if draw.chance(0.5) else sorted(draw.int(-2, 5) for _ in range(draw.int(0, 3)))
    return {"ary": draw.array(shape), "indices_or_sections": parts, "axis": axis}


def take_args(draw):
    shape = draw.shape(1, 3, empty=False)
    axis = None if draw.chance(0.3) else draw.int(-len(shape), len(shape) - 1)
    size = int(np.prod(shape)) if axis is None else shape[axis]
    bound = size if draw.chance(0.93) else size + 2
    return {"a": draw.array(shape), "indices": draw.rng.integers(-size, bound, draw.shape(0, 2, empty=False)).astype(draw.one_of(["int32", "int64"])), "axis": axis}


def with_array(least, name="a", **others):
    """An array of at least so many dimensions, and what the functions tell that get (draw, shape)."""
    def draw_args(draw):
        shape = draw.shape(least, 4 if least < 4 else least)
        return {name: draw.array(shape, name), **{key: tell(draw, shape) for key, tell in others.items()}}
    return draw_args


def roll_args(draw):
    shape = draw.shape(0, 3)
    if draw.chance(0.4) or not shape:
        return {"a": draw.array(shape), "shift": draw.int(-5, 5), "axis": None}
    axes = tuple(int(a) for a in draw.rng.permutation(len(shape))[:draw.int(1, len(shape))])
    return {"a": draw.array(shape), "shift": tuple(draw.int(-5, 5) for _ in axes), "axis": axes}


def moveaxis_args(draw):
    shape = draw.shape(1, 4)
    n = draw.int(1, len(shape))
    pick = lambda: tuple(int(a) - (len(shape) if draw.chance(0.3) else 0) for a in draw.rng.permutation(len(shape))[:n])
    return {"a": draw.array(shape), "source": pick(), "destination": pick()}


def transpose_args(draw):
    shape = draw.shape()
    axes = tuple(int(a) - (len(shape) if draw.chance(0.3) else 0) for a in draw.rng.permutation(len(shape)))
    return {"a": draw.array(shape), "axes": None if draw.chance(0.3) else axes if draw.chance(0.9) else axes + (0,)}


def expand_args(draw):
    shape = draw.shape(0, 3)
    n = draw.int(1, 2)
    axes = tuple(int(a) for a in draw.rng.permutation(len(shape) + n)[:n])
    return {"a": draw.array(shape), "axis": axes[0] if n == 1 and draw.chance(0.5) else axes if draw.chance(0.9) else (0, 0)}


def squeeze_args(draw):
    shape = tuple(draw.one_of([1, 1, 3]) for _ in range(draw.int(0, 4)))
    ones = tuple(d for d, size in enumerate(shape) if size == 1)
    return {"a": draw.array(shape), "axis": None if draw.chance(0.4) else ones if draw.chance(0.6) else draw.axis(len(shape)) if shape else None}


def arange_args(draw):
    whole = draw.chance(0.6)
    number = lambda low, high: draw.int(low, high) if whole else float(draw.int(low * 4, high * 4)) / 4
    args = {"start": number(-3, 9)}
    if draw.chance(0.6):
        args["stop"] = number(-3, 9)
        if draw.chance(0.6):
            args["step"] = number(1, 3) * draw.one_of([1, -1]) or 1
    if draw.chance(0.3):
        args["dtype"] = draw.one_of(["int32", "int64", "float32", "float64"])
    return args


def linspace_args(draw):
    args = {"start": draw.int(-5, 5), "stop": draw.one_of([draw.int(-5, 5), 2.5]), "num": draw.int(0, 9), "endpoint": draw.chance(0.6)}
    if draw.row["name"] == "logspace":
        args["base"] = draw.one_of([10.0, 2.0])
    elif draw.chance(0.2):
        args["dtype"] = draw.one_of(["float32", "float64", "int64"])
    return args


def eye_args(draw):
    args = {"N": draw.int(0, 4), "M": draw.one_of([None, draw.int(0, 4)]), "k": draw.int(-3, 3)}
    if draw.chance(0.3):
        args["dtype"] = draw.one_of(DTYPES["all"].split())
    return args


def dtype_or_none(draw, others):
    return {**others, **({"dtype": draw.one_of(DTYPES["all"].split())} if draw.chance(0.5) else {})}


def average_args(draw):
    shape = draw.shape(1, 3, empty=False)
    args = {"a": draw.array(shape, word="finite")}
    if draw.chance(0.4):
        args["axis"] = draw.int(-len(shape), len(shape) - 1)
        if draw.chance(0.6):
            args["weights"] = draw.array((shape[args["axis"]],), word="positive", dtype="float32")
    elif draw.chance(0.6):
        args["weights"] = draw.array(shape, word="positive")
    return args


def norm_args(draw):
    shape = draw.shape(0, 3, empty=False)
    args = {"x": draw.array(shape, word="finite"), "keepdims": draw.chance(0.5)}
    if shape and draw.chance(0.6):
        args["axis"] = draw.int(-len(shape), len(shape) - 1)
        args["ord"] = draw.one_of([None, 1, 2, 3, 0, np.inf, -np.inf])
    return args


def close_args(draw):
    shape = draw.shape(0, 3)
    a = draw.array(shape, dtype=draw.one_of(["float32", "float64", "int32"]))
    b = a + draw.rng.choice([0, 1e-9, 1e-4, 1], shape) if draw.chance(0.8) else draw.array(draw.broadcast(shape))
    return {"a": a, "b": b.astype(a.dtype) if a.dtype != np.int32 and draw.chance(0.5) else b, "equal_nan": draw.chance(0.5)}


def equal_args(draw):
    a = draw.array(draw.shape())
    other = draw.one_of([a.copy(), a.astype("float64"), draw.array(a.shape), draw.array(draw.shape())])
    return {"a1": a, "a2": other}


def extract_args(draw):
    shape = draw.shape(1, 3)
    return {"condition": draw.array(shape, dtype=draw.one_of(["bool", "int32"])), "arr": draw.array(shape)}


def einsum_args(draw):
    sizes = dict(zip("ijkl", (draw.int(1, 3) for _ in range(4))))
    subscripts = draw.one_of(["ij,jk->ik", "ij,jk", "ij->ji", "ij->", "ii->i", "ii", "i,i", "ijk,ikl->ijl", "ij,ij->i", "i,j->ij", "ij,jk,kl->il", "...i->..."])
    sizes["i"] = sizes["j"] if "ii" in subscripts else sizes["i"]
    shapes = [tuple(sizes[letter] for letter in part.replace("...", "k")) for part in subscripts.split("->")[0].split(",")]
    if draw.chance(0.06):
        shapes[0] = shapes[0] + (2,)
    return {"subscripts": subscripts, "operands": [draw.array(shape, word="finite") for shape in shapes]}


def along_args(draw):
    shape = draw.shape(1, 3, empty=False)
    axis = draw.int(-len(shape), len(shape) - 1)
    index_shape = list(shape)
    index_shape[axis] = draw.int(1, 4)
    return {"arr": draw.array(shape), "indices": draw.rng.integers(-shape[axis], shape[axis], tuple(index_shape)), "axis": axis}


def pad_args(draw):
    shape = draw.shape(1, 3)
    width = draw.one_of([draw.int(0, 2), (draw.int(0, 2), draw.int(-1, 2)), tuple(draw.int(0, 2) for _ in range(2 * len(shape)))])
    return {"array": draw.array(shape), "pad_width": width, "constant_values": draw.one_of([0, 1, 2])}


SPECIAL = {
    "einsum": einsum_args,
    "take_along_axis": along_args,
    "pad": pad_args,
    "rot90": lambda draw: (lambda shape: {"m": draw.array(shape), "k": draw.int(-2, 5), "axes": tuple(int(a) for a in draw.rng.permutation(len(shape))[:2])})(draw.shape(2, 4)),
    "dstack": joined(0, name="tup"),
    "kron": product_args(lambda draw: (draw.shape(0, 2, empty=False), draw.shape(0, 2, empty=False))),
    "cross": lambda draw: {"a": draw.array((2, 3), word="finite", dtype=draw.one_of(["int32", "int64", "float32", "float64"])), "b": draw.array(draw.one_of([(2, 3), (1, 3), (2, 4)]), word="finite", dtype=draw.one_of(["int32", "float64"]))},
    "linalg.multi_dot": lambda draw: {"arrays": [draw.array(shape, word="finite", dtype=draw.one_of(["int32", "float32", "float64"])) for shape in ((2, 3), (3, 4), (4, draw.int(1, 2)))[:draw.int(1, 3)]]},
    "random.exponential": lambda draw: {"scale": 2.0, "size": (4000,)},
    "random.random_sample": lambda draw: {"size": (2000,)},
    "reshape": lambda draw: (lambda shape: {"a": draw.array(shape), "newshape": sizes_of(draw, shape)})(draw.shape()),
    "transpose": transpose_args,
    "swapaxes": with_array(1, axis1=lambda draw, shape: draw.axis(len(shape)), axis2=lambda draw, shape: draw.axis(len(shape))),
    "moveaxis": moveaxis_args,
    "expand_dims": expand_args,
    "squeeze": squeeze_args,
    "broadcast_to": lambda draw: (lambda shape: {"array": draw.array(draw.broadcast(shape)), "shape": shape})(draw.shape(1, 4)),
    "astype": with_array(0, dtype=lambda draw, shape: draw.one_of(DTYPES["all"].split())),
    "flip": with_array(0, name="m", axis=lambda draw, shape: draw.axes(len(shape))),
    "roll": roll_args,
    "tile": lambda draw: {"A": draw.array(draw.shape(0, 3)), "reps": tuple(draw.int(0, 3) for _ in range(draw.int(0, 3)))},
    "repeat": with_array(0, repeats=lambda draw, shape: draw.int(0, 3), axis=lambda draw, shape: None if not shape or draw.chance(0.4) else draw.axis(len(shape))),
    "concatenate": joined(0),
    "stack": joined(0, along=False),
    "vstack": joined(0, name="tup"),
    "hstack": joined(0, name="tup"),
    "column_stack": joined(1, name="tup"),
    "append": lambda draw: (lambda shape: {"arr": draw.array(shape), "values": draw.array(shape), "axis": None if draw.chance(0.5) else draw.axis(len(shape))})(draw.shape(0, 3)),
    "split": split_args,
    "array_split": split_args,
    "meshgrid": lambda draw: {"xi": [draw.array((draw.int(1, 4),)) for _ in range(draw.int(1, 3))], "indexing": draw.one_of(["xy", "ij"])},
    "take": take_args,
    "extract": extract_args,
    "trace": with_array(2, offset=lambda draw, shape: draw.int(-2, 2)),
    "diagonal": with_array(2, offset=lambda draw, shape: draw.int(-2, 2), axis1=lambda draw, shape: 0, axis2=lambda draw, shape: draw.int(1, len(shape) - 1)),
    "tril": with_array(1, name="m", k=lambda draw, shape: draw.int(-2, 2)),
    "triu": with_array(1, name="m", k=lambda draw, shape: draw.int(-2, 2)),
    "diag": lambda draw: {"v": draw.array(draw.shape(1, 2)), "k": draw.int(-2, 2)},
    "dot": product_args(dot_shapes),
    "inner": product_args(inner_shapes),
    "matmul": product_args(matmul_shapes),
    "outer": product_args(lambda draw: (draw.shape(0, 2), draw.shape(0, 2))),
    "vdot": product_args(lambda draw: ((draw.int(1, 3), 2), (2, draw.int(1, 3)))),
    "tensordot": lambda draw: {"a": draw.array((2, 3, 4), "a"), "b": draw.array(draw.one_of([(3, 4, 2), (4, 3), (3, 4)]), "b"), "axes": draw.int(0, 2)},
    "linalg.solve": solve_args,
    "linalg.inv": lambda draw: {"a": matrix(draw, "a", "square")},
    "linalg.det": lambda draw: {"a": matrix(draw, "a", "square")},
    "linalg.cholesky": lambda draw: {"a": matrix(draw, "a", "spd")},
    "linalg.norm": norm_args,
    "linalg.matrix_power": lambda draw: {"a": matrix(draw, "a", "square"), "n": draw.int(-2, 5)},
    "zeros": lambda draw: dtype_or_none(draw, {"shape": draw.shape()}),
    "ones": lambda draw: dtype_or_none(draw, {"shape": draw.shape()}),
    "empty": lambda draw: dtype_or_none(draw, {"shape": draw.shape()}),
    "full": lambda draw: dtype_or_none(draw, {"shape": draw.shape(), "fill_value": draw.one_of([3, 2.5, True, 0])}),
    "full_like": lambda draw: dtype_or_none(draw, {"a": draw.array(draw.shape()), "fill_value": draw.one_of([3, 2.5, True, 0])}),
    "arange": arange_args,
    "linspace": linspace_args,
    "logspace": linspace_args,
    "eye": eye_args,
    "tri": eye_args,
    "identity": lambda draw: dtype_or_none(draw, {"n": draw.int(0, 4)}),
    "average": average_args,
    "isclose": close_args,
    "allclose": close_args,
    "array_equal": equal_args,
    "diff": with_array(0, n=lambda draw, shape: draw.int(0, 2), axis=lambda draw, shape: draw.axis(len(shape))),
    "random.uniform": lambda draw: {"low": -2.0, "high": 3.0, "size": (2000,)},
    "random.normal": lambda draw: {"loc": 1.0, "scale": 2.0, "size": (2000,)},
    "random.randint": lambda draw: {"low": -3, "high": 5, "size": (40, 50)},
    "random.permutation": lambda draw: {"n": draw.int(1, 30)},
    **{f"random.{name}": lambda draw: {"size": draw.one_of([(2000,), (40, 50)])} for name in ("rand", "random", "randn", "standard_normal")},
}


# ---- asking both ----

def array_json(array):
    turned = array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": array.tobytes("F" if turned else "C").hex(), "turned": turned}


def arg_json(param, value):
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        return {"array": array_json(value)}
    if isinstance(value, (list, tuple)):
        if param["type"] == "Tensor[]":
            return {"arrays": [array_json(array) for array in value]}
        return {"ints": [str(number) for number in value]}
    if isinstance(value, bool):
        return {"bool": value}
    if param["type"] == "ScalarType":
        return {"dtype": value}
    if isinstance(value, str):
        return {"string": value}
    if isinstance(value, int):
        return {"int": str(value)}
    return {"float": float(value).hex() if np.isfinite(value) else str(float(value))}


def our_args(row, args):
    json_args = []
    for param in row["params"]:
        value = args.get(param["name"])
        if param["name"] not in args and param["has_default"]:
            json_args.append(default_json(param))
        else:
            json_args.append(arg_json(param, value))
    return json_args


def default_json(param):
    value = param["default"]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and param["type"] == "float":
        value = float(value)
    return arg_json(param, value)


def numpy_call(row, args):
    name = row["name"]
    if name == "astype":
        return args["a"].astype(args["dtype"])
    function = np
    for part in name.split("."):
        function = getattr(function, part)
    if name == "meshgrid":
        return function(*args["xi"], indexing=args["indexing"])
    if name == "einsum":
        return function(args["subscripts"], *args["operands"])
    if name == "pad" and isinstance(args["pad_width"], tuple) and len(args["pad_width"]) > 2:
        return function(args["array"], np.reshape(args["pad_width"], (-1, 2)).tolist(), constant_values=args["constant_values"])
    if name in ("random.rand", "random.randn"):
        return function(*args["size"])
    if name == "random.permutation":
        return function(args["n"])
    given = dict(args)
    if name == "arange":
        positional = [given.pop(key) for key in ("start", "stop", "step") if key in given]
        return function(*positional, **given)
    leading = []
    for param in row["params"]:
        if param["type"] not in ("Tensor", "Tensor|Scalar", "Tensor[]") or param["name"] not in given or param["keyword_only"]:
            break
        leading.append(given.pop(param["name"]))
    if name == "clip":
        leading += [None] * (3 - len(leading)) if "a_min" in args or "a_max" not in args else [None, given.pop("a_max")]
    if given.get("ddof") == 0:
        del given["ddof"]
    return function(*leading, **given)


def widened(args):
    """The same call in dtypes that are here: what NumPy would answer if it had no others."""
    small = {"bool": "float32", "uint8": "float32"}
    return {name: value.astype(small.get(value.dtype.name, value.dtype)) if isinstance(value, np.ndarray) else value for name, value in args.items()}


def numpy_answer(row, args):
    """A list of arrays with their dtypes here, or the exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with np.errstate(all="ignore"):
                answer = numpy_call(row, args)
                found = [np.asarray(a) for a in answer] if isinstance(answer, (list, tuple)) else [np.asarray(answer)]
                if any(a.dtype.name == "float16" for a in found):
                    answer = numpy_call(row, widened(args))
                    found = [np.asarray(a) for a in answer] if isinstance(answer, (list, tuple)) else [np.asarray(answer)]
                if any(a.dtype.name in ("int16", "uint16", "uint32") for a in found):
                    wide = {name: value.astype(WIDENED[found[0].dtype.name]) if isinstance(value, np.ndarray) else value for name, value in args.items()}
                    answer = numpy_call(row, wide)
                    found = [np.asarray(a) for a in answer] if isinstance(answer, (list, tuple)) else [np.asarray(answer)]
        except Exception as error:  # whatever NumPy refuses, we are to refuse
            return error
    return [a.astype(WIDENED.get(a.dtype.name, a.dtype)) for a in found]


class Driver:
    def __init__(self, command):
        self.process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if line == "":
            raise Differs("the driver has ended")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


# ---- comparing ----

LOOSE = {"linalg.solve", "linalg.inv", "linalg.det", "linalg.cholesky", "linalg.matrix_power", "power", "float_power", "logspace", "prod", "cumprod"}


def check_values(row, args, wanted, got):
    if wanted.dtype.kind != "f":
        if not np.array_equal(wanted, got):
            raise Differs(f"values {got.tolist()}, not {wanted.tolist()}")
        return
    arrays = [a for given in args.values() for a in (given if isinstance(given, list) else [given]) if isinstance(a, np.ndarray)]
    single = wanted.dtype == np.float32 or any(a.dtype == np.float32 for a in arrays)
    tolerance = (2e-5 if single else 1e-11) * (50 if row["name"] in LOOSE else 1)
    with np.errstate(all="ignore"):
        finite = wanted[np.isfinite(wanted)]
    scale = float(np.max(np.abs(finite))) if finite.size else 1.0
    arrays = [a for a in arrays if a.size]
    with np.errstate(all="ignore"):
        largest = max([1.0] + [float(np.nanmax(np.abs(np.where(np.isfinite(a.astype(float)), a.astype(float), 0)))) * (a.size if row["name"] in ("sum", "mean", "dot", "matmul", "inner", "einsum", "kron", "vdot", "tensordot", "nansum", "trace", "average", "std", "var") else 1) for a in arrays])
    if not np.allclose(got, wanted, rtol=tolerance, atol=tolerance * max(1.0, min(scale, largest)), equal_nan=True):
        raise Differs(f"values {got.tolist()}, not {wanted.tolist()}")


def check_random(row, args, wanted, got):
    if row["name"] == "random.permutation":
        if sorted(got.tolist()) != list(range(args["n"])):
            raise Differs(f"{got.tolist()} is no permutation")
        return
    spread = {"random.uniform": 5 / 12 ** 0.5, "random.normal": 2.0, "random.exponential": 2.0, "random.randint": 2.3, "random.randn": 1.0, "random.standard_normal": 1.0}.get(row["name"], 1 / 12 ** 0.5)
    if abs(got.mean() - wanted.mean()) > 0.2 * spread or abs(got.std() - wanted.std()) > 0.1 * spread:
        raise Differs(f"mean {got.mean()} and deviation {got.std()}, not {wanted.mean()} and {wanted.std()}")
    if row["name"] == "random.randint" and (got.min() != -3 or got.max() != 4):
        raise Differs("the bounds")


def check(row, args, answer, wanted):
    """Whether values were compared."""
    if "broken" in answer:
        raise Differs(answer["broken"])
    if isinstance(wanted, Exception):
        if "error" not in answer:
            raise Differs(f"NumPy raises {type(wanted).__name__}: {wanted}; we answer")
        for exception, kinds in KINDS:
            if isinstance(wanted, exception):
                if answer["error"] not in kinds:
                    raise Differs(f"NumPy raises {type(wanted).__name__}: {wanted}; we say {answer['error']}: {answer['message']}")
                break
        if not answer["message"].startswith("np"):
            raise Differs(f"the message does not say which function: {answer['message']}")
        return False
    if "error" in answer:
        raise Differs(f"{answer['error']}: {answer['message']}; NumPy answers {[a.tolist() for a in wanted]}")
    if len(answer["results"]) != len(wanted):
        raise Differs(f"{len(answer['results'])} results, not {len(wanted)}")
    for result, array in zip(answer["results"], wanted):
        if result["dtype"] != array.dtype.name:
            raise Differs(f"dtype {result['dtype']}, not {array.dtype.name}")
        if tuple(result["shape"]) != array.shape:
            raise Differs(f"shape {result['shape']}, not {list(array.shape)}")
        got = np.frombuffer(bytes.fromhex(result["data"]), result["dtype"]).reshape(array.shape)
        if "random" in row["flags"]:
            check_random(row, args, array, got)
        elif row["name"] not in ("empty", "empty_like"):
            check_values(row, args, array, got)
    return True


def show(args):
    return ", ".join(f"{name}={value!r}{value.dtype if isinstance(value, np.ndarray) else ''}" for name, value in args.items()).replace("\n", "")


def compare_row(driver, row, cases, seed, starve):
    rng = np.random.default_rng([seed, zlib.crc32(row["name"].encode())])
    np.random.seed(seed)
    draw = Draw(row, rng)
    compared = 0
    for _ in range(cases):
        args = draw.call()
        wanted = numpy_answer(row, args)
        answer = driver.ask({"call": row["name"], "args": our_args(row, args), "starve": starve})
        try:
            compared += check(row, args, answer, wanted)
        except Differs as difference:
            raise Differs(f"{row['name']}({show(args)}): {difference}") from None
    if compared < min(MIN_COMPARED, cases):
        raise Differs(f"{row['name']}: only {compared} calls were compared, the others were refused by both")


# ---- printing ----

PRINTED = [
    np.array(1.5), np.array([1.5, 2]), np.array(1e16), np.array(123456789.0), np.array(1e-5), np.array(3), np.array(True), np.zeros(0), np.zeros((2, 0)), np.zeros((2, 0), "f4"), np.arange(2000.0),
    np.arange(2000).reshape(40, 50), np.arange(10000).reshape(100, 100) * 1.5, np.array([np.nan, 1, -np.inf]), np.array([np.inf, np.nan]), np.array([[True, False], [True, True]]), np.array([True, True]),
    np.array([1e-10, 1]), np.array([1e10, 1.25]), np.array([0.1, 0.2, 0.1 + 0.2]), np.array([1 / 3, 2 / 3], "f4"), np.array([1e100, 1e-100]), np.arange(30) / 7, np.arange(24).reshape(2, 3, 4),
    np.ones((2, 2, 2, 2)), np.array([1], "u1"), np.array(1.5, "f4"), np.array([67108863.12345678]), np.array([0.0, -0.0]), np.array(-0.0), np.array(1e22), np.array(0.1, "f4"), np.array(123456789, "f4"),
    np.array([40118632, 2], "f4"), np.array(5e-324), np.array([np.finfo("f8").max, -1]), np.array([np.nan]), np.array(np.inf),
]


def compare_print(driver, cases, seed):
    rng = np.random.default_rng(seed)
    drawn = []
    for i in range(cases):
        shape = tuple(rng.integers(1, 5, rng.integers(1, 4))) if i % 3 else (int(rng.integers(1, 40)),)
        reals = rng.standard_normal(shape) * 10.0 ** rng.integers(-8, 10)
        drawn.append([
            lambda: reals, lambda: reals.astype("f4"), lambda: np.round(reals, 2), lambda: reals.astype("i8"), lambda: np.clip(reals, -2e9, 2e9).astype("i4"), lambda: reals > 0,
            lambda: np.where(rng.random(shape) < 0.2, np.nan, reals), lambda: np.where(rng.random(shape) < 0.2, -np.inf, reals * 10.0 ** rng.integers(-12, 12, shape)),
            lambda: np.round(rng.standard_normal(shape).astype("f4"), 1)][i % 9]())
    for array in PRINTED + drawn:
        array = np.asarray(array)
        for is_repr, wanted in ((False, str(array)), (True, repr(array))):
            answer = driver.ask({"print": array_json(np.ascontiguousarray(array).reshape(array.shape)), "repr": is_repr})
            if answer["text"] != wanted:
                raise Differs(f"print:\n{answer['text']}\nis not\n{wanted}")


def names_of_numpy():
    """Its functions: what numpy_names.txt lists, by which web/docs/numpy.md says what is missing."""
    names = []
    for module, prefix in ((np, ""), (np.linalg, "linalg."), (np.random, "random.")):
        for name in sorted(dir(module)):
            thing = getattr(module, name)
            if not name.startswith("_") and (isinstance(thing, np.ufunc) or (callable(thing) and not isinstance(thing, type))):
                names.append(prefix + name)
    return names


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--driver", default=str(ROOT / "build/release/numpy_driver"))
    parser.add_argument("--starve", action="store_true")
    parser.add_argument("--names", action="store_true", help="print the names of NumPy's functions, for numpy_names.txt, and nothing else")
    parser.add_argument("rows", nargs="*", metavar="ROW")
    options = parser.parse_args()
    if options.names:
        print("\n".join(names_of_numpy()))
        return 0
    table = json.loads(subprocess.run(shlex.split(options.driver) + ["--table"], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout)
    names = [row["name"] for row in table] + ["print"]
    for name in options.rows:
        if name not in names:
            parser.error(f"there is no row {name}")
    driver = Driver(options.driver)
    passed, failed = 0, 0
    for row in table + [{"name": "print"}]:
        if options.rows and row["name"] not in options.rows:
            continue
        try:
            if row["name"] == "print":
                compare_print(driver, options.cases * 3, options.seed)
            else:
                compare_row(driver, row, options.cases, options.seed, options.starve)
            passed += 1
        except Differs as difference:
            failed += 1
            print(f"FAILED {difference}")
    if driver.close() != 0:
        failed += 1
        print("FAILED: the driver ended with an error")
    print(f"{passed} rows passed, {failed} rows failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
