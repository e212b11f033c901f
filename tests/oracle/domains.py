"""Draws the arguments of a call from a row's schema and its domain words (their meaning is at the head of src/ops/ops.def)."""

import re

import numpy
import torch

DTYPES = {
    "bool": torch.bool, "uint8": torch.uint8, "int32": torch.int32, "int64": torch.int64,
    "float32": torch.float32, "float64": torch.float64,
}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
DTYPE_WORDS = {"float": ["float32", "float64"], "int": ["int32", "int64"], "all": list(DTYPES)}

VALUE_WORDS = {"any", "finite", "positive", "nonnegative", "nonzero", "unit", "probability", "above_one", "small", "distinct",
               "spd", "invertible", "lower", "bool"}
SHAPE_WORDS = {"broadcast", "same", "scalar", "vector", "matrix", "batch", "square", "square_batch", "cubes", "triples", "inner", "expandable"}
OTHER_WORDS = {"lettered", "dim", "dims", "dim_or_none", "dims_or_none", "shape", "shape_of", "permutation", "size", "length", "none", "mixed"}
PATTERN_WORDS = ("index(", "along(")

SHAPES = [[], [1], [3], [5], [0], [2, 3], [3, 2], [1, 4], [3, 1], [3, 0], [0, 2], [4, 4], [2, 3, 4], [2, 1, 3], [1, 1, 1], [2, 0, 3],
          [2, 2, 3, 2], [17], [67], [3, 33], [9, 16], [5, 3, 7], [130], [1, 70], [40, 3]]
TRIPLES = [[3], [2, 3], [3, 2], [3, 3], [4, 3, 2], [3, 1, 3], [0, 3], [2, 2, 1, 3], [40, 3]]
MATRIX_SIDES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33]


class NotDrawn(Exception):
    """These arguments cannot be drawn together (an index into nothing): the case is drawn anew."""


class Storage:
    """A flat piece of memory; operands are strided views of one."""

    def __init__(self, values):
        self.values = values

    @property
    def n_bytes(self):
        return self.values.numel() * self.values.element_size()


class Case:
    def __init__(self, row):
        self.row = row
        self.storages = []
        self.values = {}  # by parameter name: None, bool, int, float, str, list of int, torch.dtype, Tensor, list of Tensor
        self.is_probe = False  # drawn outside of the domain, to see both fail

    def operands(self):
        for value in self.values.values():
            if isinstance(value, torch.Tensor):
                yield value
            elif isinstance(value, list):
                yield from (item for item in value if isinstance(item, torch.Tensor))

    def storage_of(self, tensor):
        for i, storage in enumerate(self.storages):
            if storage.values is tensor.base_values:
                return i
        raise KeyError

    def describe(self):
        def one(value):
            if isinstance(value, torch.Tensor):
                layout = "" if value.is_contiguous() else f" strides {list(value.stride())}"
                shown = f" = {value.tolist()}" if value.numel() <= 12 else ""
                return f"{DTYPE_NAMES[value.dtype]}{list(value.shape)}{layout}{shown}"
            if isinstance(value, list):
                return "[" + ", ".join(one(item) for item in value) + "]"
            return str(value)
        return f"{self.row['name']}(" + ", ".join(f"{name}={one(value)}" for name, value in self.values.items()) + ")"


def is_spec(word):
    """Sizes written with letters: "[N? C*G H W]"."""
    return word.startswith("[") and word.endswith("]")


def spec_of(words):
    return next((word for word in words if is_spec(word)), None)


class Letters:
    """What the letters of a case's sizes stand for; each is drawn once, when it is first met."""

    RANGES = {"H": (4, 9), "W": (4, 9), "L": (4, 9), "K": (1, 3), "M": (1, 3), "S": (1, 2), "T": (1, 2), "D": (1, 2), "P": (0, 1), "Q": (0, 1)}

    def __init__(self, rng):
        self.rng, self.values, self.kept = rng, {}, {}

    def value(self, letter):
        if letter not in self.values:
            low, high = self.RANGES.get(letter, (1, 4))
            self.values[letter] = 0 if letter == "N" and self.rng.random() < 0.05 else int(self.rng.integers(low, high + 1))
        return self.values[letter]

    def is_kept(self, token):
        if token not in self.kept:
            self.kept[token] = bool(self.rng.random() < 0.7)
        return self.kept[token]

    def sizes(self, spec):
        sizes = []
        for token in spec[1:-1].split():
            if token == "...":
                if "..." not in self.values:
                    self.values["..."] = [int(size) for size in self.rng.integers(1, 4, self.rng.integers(0, 3))]
                sizes += self.values["..."]
            elif not token.endswith("?") or self.is_kept(token):
                text = re.sub("[A-Z]", lambda match: str(self.value(match[0])), token.rstrip("?")).replace("/", "//")
                sizes.append(eval(text, {"__builtins__": {}}))  # the table's own words: numbers and + - * /
        if any(size < 0 for size in sizes):
            raise NotDrawn
        return sizes


def parse_domain(text):
    """{'self': ['positive', 'matrix'], ...} of 'self=positive,matrix; ...'. An unknown word is an error: it would be ignored otherwise."""
    domain = {}
    for pair in filter(None, (part.strip() for part in text.split(";"))):
        key, _, value = pair.partition("=")
        if key == "dtypes":
            names = []
            for word in value.split("|"):
                names += DTYPE_WORDS.get(word, [word])
            unknown = [name for name in names if name not in DTYPES]
            domain[key] = names
        elif key == "pick":
            domain[key], unknown = value, [] if value in ("self", "all") else [value]
        else:
            words = [value] if value.startswith("=") else value.split(",")
            unknown = [word for word in words if not word.startswith("=") and not word.startswith(PATTERN_WORDS) and not is_spec(word)
                       and word not in VALUE_WORDS | SHAPE_WORDS | OTHER_WORDS]
            domain[key] = words
        if unknown:
            raise ValueError(f"unknown domain word(s) {unknown} in {text!r}")
    return domain


# ---- values ----

def draw_values(rng, words, dtype, n, with_specials, with_largest=True):
    """n values of a dtype, as a 1-d torch tensor; the largest numbers would hide how sums of the others differ."""
    word = next((w for w in words if w in VALUE_WORDS), "any")
    is_float = dtype.startswith("float")
    if word == "bool" or dtype == "bool" and word != "distinct":
        values = rng.integers(0, 2, n).astype(bool)
    elif word == "small":
        values = rng.integers(0, 4, n)
    elif word == "distinct":
        if n > {"bool": 2, "uint8": 256}.get(dtype, n):
            raise NotDrawn
        values = rng.permutation(n) - (0 if dtype == "uint8" else n // 2)
        values = values * 0.25 if is_float else values
    elif is_float:
        low, high = {"positive": (0.1, 4), "nonnegative": (0, 4), "unit": (-0.95, 0.95), "probability": (0, 1),
                     "above_one": (1.05, 4), "nonzero": (0.25, 4)}.get(word, (-4, 4))
        values = rng.uniform(low, high, n)
        if word == "nonzero":
            values *= rng.choice([-1, 1], n)
        if word == "any" and with_specials:
            specials = rng.choice([numpy.nan, numpy.inf, -numpy.inf, 0.0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 1.0, -1.0]
                                  + ([1e-40, 3e38] if with_largest else []), n)
            values = numpy.where(rng.random(n) < 0.2, specials, values)
        elif word in ("any", "finite") and with_specials:
            values = numpy.where(rng.random(n) < 0.2, rng.choice([0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5], n), values)
    else:
        low, high = {"positive": (1, 9), "nonnegative": (0, 9), "probability": (0, 1), "unit": (0, 0), "above_one": (2, 4)}.get(word, (-9, 9))
        low = max(low, 0) if dtype == "uint8" else low
        values = rng.integers(low, high + 1, n)
        if word == "nonzero":
            values = numpy.where(values == 0, 1, values)
        if word == "any" and with_specials:
            limits = numpy.iinfo(dtype)
            values = numpy.where(rng.random(n) < 0.1, rng.choice(numpy.array([limits.min, limits.max]), n), values)
    with numpy.errstate(all="ignore"):
        return torch.from_numpy(numpy.ascontiguousarray(values.astype(dtype)))


def draw_matrices(rng, word, dtype, shape):
    """Row-major matrices of a kind, as a flat tensor."""
    n = shape[-1]
    a = rng.standard_normal(shape)
    if word == "spd":
        a = a @ numpy.swapaxes(a, -1, -2) + n * numpy.eye(n)
    elif word == "invertible":
        a = a + 3 * max(n, 1) ** 0.5 * numpy.eye(n)[rng.permutation(n)]
    else:
        # Far from singular also at n = 33, where a random one would lose every digit.
        a = numpy.tril(a) / max(n, 1) + 2 * numpy.eye(n)
    return torch.from_numpy(numpy.ascontiguousarray(a.astype(dtype)).reshape(-1))


# ---- layouts ----

def draw_layout(rng, shape, may_stride, may_expand):
    """Strides, offset and length of the storage."""
    kind = rng.choice(["plain", "permuted", "gaps", "offset", "expanded"], p=[0.4, 0.2, 0.2, 0.1, 0.1]) if may_stride else "plain"
    if kind == "expanded" and not may_expand:
        kind = "permuted"
    order = list(range(len(shape)))
    steps, pads = [1] * len(shape), [0] * len(shape)
    offset = 0
    if kind in ("permuted", "gaps"):
        order = list(rng.permutation(len(shape)))
    if kind == "gaps":
        steps = [int(s) for s in rng.integers(1, 4, len(shape))]
        pads = [int(s) for s in rng.integers(0, 2, len(shape))]
    if kind in ("gaps", "offset"):
        offset = int(rng.integers(0, 5))
    strides, length = [0] * len(shape), 1
    for i in reversed(order):
        if kind == "expanded" and shape[i] > 1 and rng.random() < 0.6:
            continue
        strides[i] = length * steps[i]
        length *= max(shape[i], 1) * steps[i] + pads[i]
    if 0 in shape:
        length = 0 if offset == 0 else length
    return strides, offset, offset + length + (int(rng.integers(0, 3)) if kind == "offset" else 0)


def broadcast_shape(rng, shape, may_grow):
    out = list(shape)
    for i, size in enumerate(out):
        if size == 1 and may_grow and rng.random() < 0.3:
            out[i] = int(rng.integers(2, 5))
        elif rng.random() < 0.15:
            out[i] = 1
    if out and rng.random() < 0.2:
        out = out[int(rng.integers(1, len(out) + 1)):]
    elif may_grow and len(out) < 4 and rng.random() < 0.15:
        out = [int(rng.integers(1, 4))] + out
    return out


class Drawer:
    """Draws cases of one row."""

    def __init__(self, row):
        self.row = row
        self.domain = parse_domain(row["domain"])
        self.params = row["params"]
        names = {param["name"] for param in self.params}
        unknown = set(self.domain) - names - {"dtypes", "pick"}
        if unknown:
            raise ValueError(f"the domain names parameters that the schema lacks: {sorted(unknown)}")
        self.dtypes = self.domain.get("dtypes", list(DTYPES))
        self.is_inplace = "inplace" in row["flags"]
        self.is_statistic = row["tolerance"] == "statistic"

    def words(self, param):
        return self.domain.get(param["name"], [])

    def draw(self, rng, index, for_gradient=False):
        """The case of a number: dtypes take turns, and one in eight leaves the domain. For a gradient the dtypes are floating, the values finite,
        and none leaves the domain."""
        for _ in range(200):
            try:
                return self.try_draw(rng, index, for_gradient)
            except NotDrawn:
                continue
        raise ValueError(f"row {self.row['name']}: no arguments can be drawn from {self.row['domain']!r}")

    def try_draw(self, rng, index, for_gradient):
        self.rng = rng
        self.case = Case(self.row)
        self.letters = Letters(rng)
        dtypes = [name for name in self.dtypes if name.startswith("float")] if for_gradient else self.dtypes
        self.dtype = dtypes[index % len(dtypes)]
        self.for_gradient = for_gradient
        self.with_specials = rng.random() < (0.2 if for_gradient else 0.5)
        self.probe = None
        if rng.random() < 0.125 and not self.is_statistic and not for_gradient:
            self.probe = rng.choice(["dtype", "shape", "dim", "rank"])
            self.case.is_probe = True
        drawn = {}
        self.shape = None  # of self
        self.dim = None    # as it was drawn
        for param in self.params:
            if param["type"] in ("Tensor", "Tensor[]") and self.shape is None:
                drawn[param["name"]] = None
                self.first = param
                self.shape = self.self_shape(param)
        order = sorted(self.params, key=lambda param: (not param["name"].startswith("dim"), param["type"] in ("Tensor", "Tensor[]", "Tensor|Scalar")))
        for param in order:
            drawn[param["name"]] = self.draw_param(param)
        self.case.values = {param["name"]: drawn[param["name"]] for param in self.params}
        return self.case

    # -- operands --

    def self_shape(self, param):
        words, rng = self.words(param), self.rng
        side = lambda: int(rng.choice(MATRIX_SIDES))
        if self.probe == "rank":
            return list(SHAPES[rng.integers(len(SHAPES))])
        if spec_of(words):
            return self.letters.sizes(spec_of(words))
        if self.is_statistic:
            return [100, 200]
        if "scalar" in words:
            return []
        if "vector" in words:
            return [side()]
        if "square" in words:
            return [side()] * 2
        if "square_batch" in words:
            return [int(s) for s in rng.integers(0, 4, rng.integers(0, 3))] + [side()] * 2
        if "cubes" in words:
            return [int(rng.integers(0, 5))] + [side()] * 2
        if "triples" in words:
            return list(TRIPLES[rng.integers(len(TRIPLES))])
        if "matrix" in words:
            return [side(), side()]
        if "batch" in words:
            return [int(rng.integers(0, 4)), side(), side()]
        return list(SHAPES[rng.integers(len(SHAPES))])

    def operand_shape(self, param, words):
        rng, shape = self.rng, list(self.shape)
        if param is self.first:
            return shape
        if self.probe == "shape" or self.probe == "rank":
            return list(SHAPES[rng.integers(len(SHAPES))])
        pattern = next((w for w in words if w.startswith("index(")), None)
        if spec_of(words):
            return self.letters.sizes(spec_of(words))
        if "same" in words:
            return shape
        if "scalar" in words:
            return []
        if "vector" in words:
            return [int(rng.integers(0, 6))] if not shape or "inner" not in words else [shape[-1]]
        if "inner" in words:
            return self.inner_shape(words)
        if "cubes" in words:
            return [3] + [shape[-1] if shape else 2] * 2
        if "square" in words:
            return [shape[-1] if shape else 1] * 2
        if "matrix" in words:
            return (shape[-2:-1] or [1]) + [int(rng.choice(MATRIX_SIDES))]
        if "expandable" in words:
            return broadcast_shape(rng, shape, False)
        if pattern:
            dim = self.wrapped(pattern)
            return [int(rng.integers(0, 5)) if i == dim else int(rng.integers(0, size + 1)) if rng.random() < 0.3 else size
                    for i, size in enumerate(shape)]
        return broadcast_shape(rng, shape, not self.is_inplace)

    def inner_shape(self, words):
        """A right operand whose first matrix dimension is self's last: of the rank that is named, or of any that matmul takes."""
        rng, shape = self.rng, self.shape
        if not shape:
            raise NotDrawn
        inner, columns = shape[-1], int(rng.choice(MATRIX_SIDES))
        if "matrix" in words:
            return [inner, columns]
        if "batch" in words:
            return [shape[0], inner, columns]
        kind = rng.random()
        if kind < 0.25:
            return [inner]
        if kind < 0.5:
            return [inner, columns]
        batch = broadcast_shape(rng, shape[:-2], True)
        return batch + [inner, columns]

    def wrapped(self, pattern):
        """The dimension that `index(0)` or `index(dim)` names."""
        name = pattern[pattern.index("(") + 1:-1]
        dim = int(name) if re.fullmatch(r"-?\d+", name) else self.dim
        dim = 0 if dim is None or isinstance(dim, list) else dim
        return dim % max(len(self.shape), 1)

    def operand_dtype(self, param, words):
        if "bool" in words:
            return "bool"
        if any(word.startswith("index(") for word in words):
            return "int64"
        if self.probe == "dtype" and self.rng.random() < 0.6:
            return str(self.rng.choice(list(DTYPES)))
        if param is self.first:
            return self.dtype
        is_shaped = any(word in SHAPE_WORDS - {"broadcast", "expandable", "same"} for word in words)
        if "mixed" in words or (param["name"] == "other" and not is_shaped):
            return str(self.rng.choice(self.dtypes)) if self.rng.random() < 0.6 else self.dtype
        return self.dtype

    def make_operand(self, param, shape):
        words = self.words(param)
        dtype = self.operand_dtype(param, words)
        is_self = param is self.first
        may_stride = self.domain.get("pick", "all") == "all" or is_self
        # One that is written to may not lie over itself; a probe sees that both refuse it.
        # Elements that are to differ cannot share a place, nor those of a matrix that is made whole.
        is_written = param.get("written") and not (self.is_inplace and is_self)
        may_expand = (not (self.is_inplace and is_self) or bool(self.probe)) and not is_written and not {"distinct", "spd", "invertible", "lower"} & set(words)
        # Now and then the operand is self again, or a view of the same memory.
        if not is_self and not is_written and self.case.storages and self.rng.random() < 0.08 and not any(w in VALUE_WORDS for w in words) \
                and list(self.self_tensor.shape) == list(shape) and DTYPE_NAMES[self.self_tensor.dtype] == dtype:
            return self.self_tensor
        strides, offset, length = draw_layout(self.rng, shape, may_stride, may_expand)
        kind = next((word for word in words if word in ("spd", "invertible", "lower")), None)
        pattern = next((word for word in words if word.startswith("index(")), None)
        if pattern:
            letter = pattern[pattern.index("(") + 1:-1]
            is_letter = letter.isupper()
            size = self.letters.value(letter) if is_letter else self.shape[self.wrapped(pattern)] if self.shape else 1
            if size == 0:
                if 0 not in shape:
                    raise NotDrawn
                size = 1
            if "distinct" in words and length > size:
                raise NotDrawn
            values = torch.from_numpy(self.rng.permutation(size)[:length] if "distinct" in words else self.rng.integers(0, size, length))
            if self.probe == "dim" and length > 0:
                values[self.rng.integers(length)] = int(self.rng.choice([size, -1, -size - 1, 2 ** 40]))
        elif kind and len(shape) >= 2 and shape[-1] == shape[-2] and dtype.startswith("float"):
            values = draw_values(self.rng, ["finite"], dtype, length, False)
            torch.as_strided(values, shape, strides, offset).copy_(draw_matrices(self.rng, kind, dtype, shape).reshape(shape))
        else:
            if self.for_gradient:
                words = ["finite" if word == "any" else word for word in words] if set(words) & VALUE_WORDS else words + ["finite"]
            values = draw_values(self.rng, words, dtype, length, self.with_specials, self.row["tolerance"] not in ("reduce", "solve"))
        self.case.storages.append(Storage(values))
        tensor = torch.as_strided(values, shape, strides, offset)
        tensor.base_values = values
        if is_self:
            self.self_tensor = tensor
        return tensor

    def lettered_shapes(self):
        """Shapes that fit the equation, a size for each letter; dots stand for two dimensions, of which a tensor may lack the first."""
        rng, sizes, shapes = self.rng, {}, []
        for operand in self.equation.split("->")[0].split(","):
            letters = operand.replace("...", ".:")
            shape = [sizes.setdefault(letter, int(rng.choice([1, 2, 3, 5, 8, 0], p=[0.15, 0.25, 0.25, 0.2, 0.1, 0.05]))) for letter in letters]
            shapes.append(shape[:letters.index(".")] + shape[letters.index(".") + 1:] if "." in letters and rng.random() < 0.3 else shape)
        return shapes

    def draw_list(self, param):
        words, rng = self.words(param), self.rng
        if "lettered" in words:
            shapes = self.lettered_shapes()
            if self.probe in ("shape", "rank"):
                shapes[0] = list(SHAPES[rng.integers(len(SHAPES))])
            self.shape = shapes[0]
            return [self.make_operand(param, shape) for shape in shapes]
        pattern = next((w for w in words if w.startswith("along(")), None)
        tensors = []
        for i in range(int(rng.integers(1, 5))):
            shape = self.letters.sizes(spec_of(words)) if spec_of(words) else list(self.shape)
            if pattern and shape and i > 0:
                shape[self.wrapped(pattern)] = int(rng.integers(0, 4))
            if self.probe == "shape" and i > 0 and rng.random() < 0.5:
                shape = list(SHAPES[rng.integers(len(SHAPES))])
            if "mixed" in words and i > 0:
                self.dtype = str(rng.choice(self.dtypes))
            tensors.append(self.make_operand(param, shape))
        return tensors

    # -- everything else --

    def draw_param(self, param):
        words, rng, kind = self.words(param), self.rng, param["type"]
        literal = next((word for word in words if word.startswith("=")), None)
        if literal is not None:
            value = self.parse_literal(str(rng.choice(literal[1:].split("|"))), kind, param.get("optional"))
            if param["name"] == "equation":
                self.equation = value
            return value
        if "none" in words:
            return self.default_of(param)
        if param.get("optional") and kind in ("Tensor", "Tensor|Scalar", "Scalar") and param is not getattr(self, "first", None) and rng.random() < 0.3:
            return None
        if kind == "Tensor":
            return self.make_operand(param, self.operand_shape(param, words))
        if kind == "Tensor[]":
            return self.draw_list(param)
        if kind == "Tensor|Scalar" and rng.random() < 0.65:
            return self.make_operand(param, self.operand_shape(param, words))
        if kind in ("Scalar", "Tensor|Scalar"):
            return self.draw_scalar(words)
        if kind == "bool":
            return bool(rng.integers(2)) if not param.get("has_default") or rng.random() < 0.6 else param.get("default")
        if kind == "ScalarType":
            if param.get("optional") and (rng.random() < 0.6 or self.row["tolerance"] == "statistic"):
                return None
            return DTYPES[str(rng.choice(self.dtypes))]
        return self.draw_number(param, words, kind)

    def draw_scalar(self, words):
        rng = self.rng
        kind = rng.choice(["bool", "int", "float"], p=[0.1, 0.45, 0.45])
        if self.dtype.startswith("float") and rng.random() < 0.5:
            kind = "float"
        dtype = {"bool": "bool", "int": "int64", "float": "float64"}[str(kind)]
        value = draw_values(rng, [word for word in words if word in VALUE_WORDS] or ["finite"], dtype, 1, self.with_specials)[0].item()
        if kind == "int" and "any" in words and rng.random() < 0.1:
            value = int(rng.choice([2 ** 31, -2 ** 31 - 1, 255, 256]))
        return value

    def draw_number(self, param, words, kind):
        rng, n_dims = self.rng, len(self.shape) if self.shape is not None else 0
        name, span = param["name"], max(n_dims, 1)
        takes_none = param.get("optional")
        if spec_of(words):
            sizes = self.letters.sizes(spec_of(words))
            return sizes if kind == "int[]" else sizes[0]
        if "dim_or_none" in words or "dims_or_none" in words:
            if takes_none and rng.random() < 0.3:
                return None
        elif param.get("has_default") and not words and name not in ("dim", "dims") and not (name == "size" and kind == "int[]"):
            return self.default_of(param) if not takes_none or rng.random() < 0.8 or kind not in ("int", "float") else None
        elif takes_none and not words and name in ("dim", "dims") and rng.random() < 0.3:
            return None
        if any(word in words for word in ("dims", "dims_or_none", "permutation")) or (name in ("dim", "dims") and kind == "int[]"):
            count = n_dims if "permutation" in words else int(rng.integers(0 if rng.random() < 0.15 else 1, span + 1))
            dims = [int(d) for d in rng.permutation(span if "permutation" not in words else n_dims)[:count]]
            dims = [d - span if rng.random() < 0.3 else d for d in dims]
            if self.probe == "dim":
                dims = dims + [int(rng.choice([span, -span - 1]))] if rng.random() < 0.6 or not dims else dims + dims[:1]
            if kind == "int":
                raise ValueError(f"parameter {name} is an int and its words say a list")
            return self.remember(name, dims)
        if any(word in words for word in ("dim", "dim_or_none")) or (kind == "int" and name in ("dim", "dim0", "dim1") and not words):
            low, high = (-span, span)
            if self.row["name"] == "stack" or self.row["name"].startswith("unsqueeze"):
                low, high = -n_dims - 1, n_dims + 1  # a new dimension's place
            value = int(rng.integers(low, high))
            if self.probe == "dim":
                value = int(rng.choice([high, low - 1, 100]))
            return self.remember(name, [value] if kind == "int[]" else value)
        pattern = next((w for w in words if w.startswith("index(")), None)
        if pattern:
            size = self.shape[self.wrapped(pattern)] if self.shape else 0
            if self.probe == "dim":
                return int(rng.choice([size, -size - 1]))
            if size == 0:
                raise NotDrawn
            return int(rng.integers(-size, size))
        if "shape_of" in words:
            return self.shape_of()
        if "expandable" in words:
            return self.grown_shape()
        if "shape" in words or name == "size" and kind == "int[]":
            if self.is_statistic:
                return [int(s) for s in ([20000], [100, 200], [2, 100, 100])[rng.integers(3)]]
            if self.probe == "dim":
                return [-1, 2]
            return [int(s) for s in rng.integers(0, 5, rng.integers(0, 4))]
        if "length" in words:
            dim = 0 if self.dim is None or isinstance(self.dim, list) else self.dim
            size = self.shape[dim % span] if self.shape else 1
            if kind == "int[]":
                return self.parts(size)
            value = int(rng.integers(-size - 2, size + 3)) if takes_none or "index" in name else int(rng.integers(0, size + 1))
            return None if takes_none and rng.random() < 0.3 else value
        if "size" in words:
            return int(rng.integers(0, 6)) if kind == "int" else [int(rng.integers(0, 6))]
        if kind == "float":
            return draw_values(rng, words, "float64", 1, False)[0].item()
        if kind == "int":
            if self.is_statistic and name == "n":
                return 20000
            return int(draw_values(rng, words or ["small"], "int64", 1, False)[0].item())
        if kind == "int[]":
            return [int(v) for v in draw_values(rng, words or ["small"], "int64", int(rng.integers(0, 4)), False)]
        raise ValueError(f"row {self.row['name']}: say in the domain how to draw {name}")

    def remember(self, name, value):
        if name == "dim":
            self.dim = value
        return value

    def shape_of(self):
        """A list of sizes with as many elements as self, one of them left to be found out now and then."""
        rng = self.rng
        n = int(numpy.prod(self.shape, dtype=numpy.int64)) if self.shape else 1
        if n == 0:
            sizes = list(self.shape)
            rng.shuffle(sizes)
            return [int(s) for s in sizes]
        sizes = []
        while n > 1:
            factor = next(f for f in range(2, n + 1) if n % f == 0)
            sizes.append(factor)
            n //= factor
        rng.shuffle(sizes)
        while len(sizes) > 1 and (len(sizes) > 4 or rng.random() < 0.4):
            sizes[-2:] = [sizes[-2] * sizes[-1]]
        if len(sizes) < 5 and rng.random() < 0.3:
            sizes.insert(int(rng.integers(0, len(sizes) + 1)), 1)
        if sizes and rng.random() < 0.3:
            sizes[int(rng.integers(len(sizes)))] = -1
        if self.probe == "dim":
            sizes = sizes + [3] if rng.random() < 0.5 else [-1, -1]
        return [int(s) for s in sizes]

    def grown_shape(self):
        """A shape that self expands to, with -1 for what stays."""
        rng = self.rng
        out = [int(rng.integers(0, 4)) if size == 1 and rng.random() < 0.6 else -1 if rng.random() < 0.3 else size for size in self.shape]
        if rng.random() < 0.4:
            out = [int(rng.integers(0, 4))] + out
        if self.probe == "dim" and out:
            out[-1] = 77
        return out

    def parts(self, size):
        """Sizes that add up to a dimension's."""
        sizes = []
        left = size
        while left > 0 and len(sizes) < 6:
            sizes.append(int(self.rng.integers(0, left + 1)))
            left -= sizes[-1]
        if left > 0 or not sizes:
            sizes.append(left)
        if self.probe == "dim":
            sizes[-1] += 1
        return sizes

    def default_of(self, param):
        if param.get("has_default"):
            value = param.get("default")
            return DTYPES[value] if param["type"] == "ScalarType" and value is not None else value
        if param.get("optional"):
            return None
        raise ValueError(f"row {self.row['name']}: {param['name']} has no default to leave it at")

    def parse_literal(self, text, kind, is_optional):
        named = {"none": None, "true": True, "false": False, "inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}
        if text in named and not (kind == "str" and not is_optional):
            return named[text]
        if kind == "str":
            return text
        if kind == "ScalarType":
            return DTYPES[text]
        if kind == "int[]":
            return [int(part) for part in text.strip("[]").split("+") if part]
        return float(text) if "." in text or "e" in text or kind == "float" else int(text)
