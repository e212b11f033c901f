#!/usr/bin/env python3
"""Compares gradients of whole programs with PyTorch's: random calls, views, changes in place, in one process and at a worker.

    tests/oracle/compare_autograd.py [--programs N] [--seed N]

The rules of single rows are compare.py's. Here the graph is: what is recorded, what a change in place does to it and to views, and what is refused. Each
program runs in PyTorch as it is drawn, so that it is one that PyTorch takes, up to backward(). PyTorch may refuse that because something that was saved
has changed: ours must refuse it too or give the gradient that finite differences of the program as written would, which is not checked further.
"""

import argparse
import json
import math
import pathlib
import random
import subprocess
import sys
import warnings

import torch

warnings.filterwarnings("ignore", message=".*not a leaf Tensor.*")  # a leaf that was changed in place
ROOT = pathlib.Path(__file__).resolve().parents[2]
TOLERANCE = 1e-9

UNARY = ["exp", "sigmoid", "tanh", "relu", "square", "neg", "sin", "cos", "abs"]
UNARY_IN_PLACE = ["exp_", "sigmoid_", "tanh_", "relu_", "neg_", "sin_", "abs_", "square_"]
BINARY = ["add", "sub", "mul"]
BINARY_IN_PLACE = ["add_", "sub_", "mul_", "copy_"]
VIEWS = {"t", "transpose", "narrow", "select", "view", "unsqueeze", "squeeze", "expand", "permute", "diagonal", "detach"}


def tensor_arg(i):
    return {"t": i}


class Program:
    """Calls that PyTorch has taken already."""

    def __init__(self, rng):
        self.rng = rng
        self.leaves, self.calls, self.no_grad, self.tensors = [], [], [], []
        self.detached = set()  # memory that has a detached view
        for _ in range(rng.randint(1, 3)):
            shape = [rng.choice([1, 2, 3, 4]) for _ in range(rng.randint(0, 3))]
            n = math.prod(shape)
            data = [round(rng.uniform(-2, 2), 3) or 0.5 for _ in range(n)]
            requires = rng.random() < 0.75 or not self.leaves
            self.leaves.append({"shape": shape, "data": data, "requires_grad": requires})
            self.tensors.append(torch.tensor(data, dtype=torch.float64).reshape(shape).requires_grad_(requires))

    def pick(self, condition=lambda tensor: True):
        found = [i for i, tensor in enumerate(self.tensors) if condition(tensor)]
        return self.rng.choice(found) if found else None

    def try_call(self, name, args, options=None):
        """True when PyTorch takes it."""
        values = [[self.tensors[item["t"]] for item in arg] if isinstance(arg, list) and arg and isinstance(arg[0], dict)
                  else self.tensors[arg["t"]] if isinstance(arg, dict) else arg for arg in args]
        # Under no_grad, views and changes in place are left out: PyTorch 1.13 finds histories for such views, or loses them.
        without = self.rng.random() < 0.05 and name not in VIEWS and not name.endswith("_")
        try:
            with torch.set_grad_enabled(not without):
                target = torch if isinstance(values[0], list) else values[0]
                method = getattr(target, name)
                result = method(*values, **(options or {})) if isinstance(values[0], list) else method(*values[1:], **(options or {}))
        except RuntimeError:
            return False
        if without:
            self.no_grad.append(len(self.calls))
        self.calls.append([name, args] + ([options] if options else []))
        if not name.endswith("_"):
            self.tensors.extend(result if isinstance(result, (tuple, list)) else [result])
        return True

    def step(self):
        rng = self.rng
        kind = rng.choice(["unary", "binary", "binary", "view", "view", "in_place", "in_place", "reduce", "matmul", "cat", "clone", "detach", "scalar"])
        i = self.pick()
        x = self.tensors[i]
        a = tensor_arg(i)
        if kind == "unary":
            self.try_call(rng.choice(UNARY), [a])
        elif kind == "scalar":
            self.try_call(rng.choice(BINARY), [a, rng.choice([2, 0.5, -1.5])])
        elif kind == "binary":
            j = self.pick(lambda other: self.broadcasts(x, other))
            self.try_call(rng.choice(BINARY), [a, tensor_arg(j)])
        elif kind == "reduce":
            if x.dim() > 0 and rng.random() < 0.7:
                self.try_call(rng.choice(["sum", "mean", "amax"]), [a, rng.randrange(x.dim())], {"keepdim": rng.random() < 0.5})
            else:
                self.try_call(rng.choice(["sum", "mean"]), [a])
        elif kind == "matmul":
            j = self.pick(lambda other: x.dim() == 2 and other.dim() == 2 and other.shape[0] == x.shape[1])
            if j is not None:
                self.try_call("matmul", [a, tensor_arg(j)])
        elif kind == "cat":
            j = self.pick(lambda other: other.shape == x.shape)
            self.try_call(rng.choice(["stack", "cat"]), [[a, tensor_arg(j)]])
        elif kind == "clone":
            self.try_call("clone", [a])
        elif kind == "detach":
            if rng.random() < 0.3 and self.try_call("detach", [a]):
                self.detached.add(x.storage().data_ptr())
        elif kind == "view":
            self.view(i, x, a)
        else:
            self.change(i, x, a)

    @staticmethod
    def broadcasts(x, other):
        try:
            torch.broadcast_shapes(x.shape, other.shape)
        except RuntimeError:
            return False
        return True

    def view(self, i, x, a):
        rng = self.rng
        form = rng.choice(["t", "transpose", "narrow", "select", "view", "unsqueeze", "squeeze", "expand", "permute", "diagonal"])
        if form == "t" and x.dim() <= 2:
            self.try_call("t", [a])
        elif form == "transpose" and x.dim() >= 2:
            self.try_call("transpose", [a, 0, x.dim() - 1])
        elif form == "permute" and x.dim() >= 2:
            self.try_call("permute", [a, list(rng.sample(range(x.dim()), x.dim()))])
        elif form == "narrow" and x.dim() >= 1:
            dim = rng.randrange(x.dim())
            start = rng.randrange(x.shape[dim])
            self.try_call("narrow", [a, dim, start, rng.randint(1, x.shape[dim] - start)])
        elif form == "select" and x.dim() >= 1:
            dim = rng.randrange(x.dim())
            self.try_call("select", [a, dim, rng.randrange(x.shape[dim])])
        elif form == "view":
            self.try_call("view", [a, [-1]])
        elif form == "unsqueeze":
            self.try_call("unsqueeze", [a, 0])
        elif form == "squeeze":
            self.try_call("squeeze", [a])
        elif form == "expand":
            self.try_call("expand", [a, [2] + list(x.shape)])
        elif form == "diagonal" and x.dim() >= 2:
            self.try_call("diagonal", [a])

    def change(self, i, x, a):
        rng = self.rng
        # PyTorch 1.13 forgets that views of a leaf are that when the leaf is changed through a detached view.
        if x.storage().data_ptr() in self.detached:
            return
        form = rng.choice(["unary", "binary", "scalar", "fill"])
        if form == "unary":
            self.try_call(rng.choice(UNARY_IN_PLACE), [a])
        elif form == "binary":
            j = self.pick(lambda other: self.broadcasts(x, other) and torch.broadcast_shapes(x.shape, other.shape) == x.shape)
            self.try_call(rng.choice(BINARY_IN_PLACE), [a, tensor_arg(j)])
        elif form == "scalar":
            self.try_call(rng.choice(["add_", "mul_"]), [a, rng.choice([2, 0.5, -1.5])])
        elif all(size == 1 or stride != 0 for size, stride in zip(x.shape, x.stride())):  # else: deviations.py
            self.try_call("fill_", [a, 0.25]) if rng.random() < 0.5 else self.try_call("zero_", [a])

    def finish(self):
        """The program as JSON, and PyTorch's answer."""
        candidates = [i for i, tensor in enumerate(self.tensors) if tensor.requires_grad]
        if not candidates:
            return None
        loss = sorted(self.rng.sample(candidates, min(len(candidates), self.rng.randint(1, 3))))
        program = {"leaves": self.leaves, "calls": self.calls, "loss": loss, "no_grad": self.no_grad}
        total = None
        for i in loss:
            part = self.tensors[i].sum()
            total = part if total is None else total + part
        try:
            total.backward()
        except RuntimeError as error:
            return program, {"error": str(error)}
        grads = [None if leaf.grad is None else leaf.grad.flatten().tolist() for leaf in self.tensors[:len(self.leaves)]]
        return program, {"value": total.item(), "grads": grads}


def draw(seed):
    rng = random.Random(seed)
    program = Program(rng)
    for _ in range(rng.randint(3, 14)):
        program.step()
    return program.finish()


def close(a, b):
    a, b = float(a.replace("Infinity", "inf")), float(b)
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= TOLERANCE * max(1.0, abs(a), abs(b))


def difference(ours, theirs):
    """None, or what differs."""
    if "error" in theirs:
        return None if ours.get("error") in (None, "state", "argument") else f"PyTorch says {theirs['error']!r}, ours {ours}"
    if "error" in ours:
        return f"ours fails: {ours['message']}"
    if not close(ours["value"], theirs["value"]):
        return f"the loss is {ours['value']}, PyTorch's {theirs['value']}"
    for i, (own, other) in enumerate(zip(ours["grads"], theirs["grads"])):
        # PyTorch has no gradient where none arrived; so have ours.
        if (own is None) != (other is None):
            return f"leaf {i}: the gradient is {own}, PyTorch's {other}"
        if own is not None and not all(close(a, b) for a, b in zip(own, other)):
            return f"leaf {i}: the gradient is {own}, PyTorch's {other}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    drawn = [found for found in (draw(options.seed * 1000003 + k) for k in range(options.programs)) if found is not None]
    lines = []
    for k, (program, _) in enumerate(drawn):
        # Every other one at a worker, where backward runs.
        lines.append(json.dumps({**program, "at": "bob"} if k % 2 else program))
    answers = subprocess.run(["node", "tests/oracle/autograd.js"], input="\n".join(lines) + "\n", capture_output=True, text=True, cwd=ROOT)
    if answers.returncode != 0:
        sys.exit(answers.stderr)
    n_failed = n_refused = n_strict = 0
    for (program, theirs), line, text in zip(drawn, lines, answers.stdout.splitlines(), strict=True):
        ours = json.loads(text)
        n_refused += "error" in theirs
        n_strict += "error" in theirs and "error" not in ours
        wrong = difference(ours, theirs)
        if wrong is None:
            continue
        n_failed += 1
        if n_failed <= 5:
            print(f"WRONG: {wrong}\n    {line}")
    print(f"{len(drawn)} programs compared, {n_refused} of them refused by PyTorch ({n_strict} not by ours)")
    print(f"{len(drawn) - n_failed} rows passed, {n_failed} rows failed")
    sys.exit(n_failed != 0)


if __name__ == "__main__":
    main()
