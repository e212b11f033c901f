#!/usr/bin/python3
"""Follows torch.optim over many steps: our rows from zero state on, step after step, with gradients that come and go.

    tests/oracle/optimizers.py [--driver "COMMAND"]

compare.py sees to single steps from any state. Here the state is only ever our own, so that a wrong beginning or count adds up and is seen.
"""

import argparse
import base64
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy
import torch

ROOT = Path(__file__).resolve().parents[2]
N_STEPS, SHAPE = 12, (5, 7)
SKIPPED = (0, 4)  # steps at which there is no gradient

ADAM_STATE = {"exp_avg": "exp_avg", "exp_avg_sq": "exp_avg_sq", "max_exp_avg_sq": "max_exp_avg_sq"}
# (row, what PyTorch makes, our state and PyTorch's name for it, the keyword arguments in the row's order)
RUNS = []
for momentum, dampening, weight_decay, nesterov, maximize in [(0.0, 0.0, 0.0, False, False), (0.9, 0.0, 0.0, False, False), (0.9, 0.5, 0.1, False, True),
                                                              (0.8, 0.0, 0.05, True, False)]:
    RUNS.append(("sgd_step_", torch.optim.SGD, {"momentum_buffer": "momentum_buffer"},
                 {"lr": 0.1, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov, "maximize": maximize}))
for row, kind in (("adam_step_", torch.optim.Adam), ("adamw_step_", torch.optim.AdamW)):
    for weight_decay, amsgrad, maximize in [(0.0, False, False), (0.1, True, False), (0.01, False, True)]:
        RUNS.append((row, kind, ADAM_STATE, {"lr": 0.05, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize}))
for momentum, centered in [(0.0, False), (0.9, False), (0.0, True), (0.9, True)]:
    RUNS.append(("rmsprop_step_", torch.optim.RMSprop, {"square_avg": "square_avg", "momentum_buffer": "momentum_buffer", "grad_avg": "grad_avg"},
                 {"lr": 0.01, "alpha": 0.9, "eps": 1e-8, "weight_decay": 0.01, "momentum": momentum, "centered": centered, "maximize": False}))
for lr_decay, weight_decay in [(0.0, 0.0), (0.1, 0.05)]:
    RUNS.append(("adagrad_step_", torch.optim.Adagrad, {"state_sum": "sum"},
                 {"lr": 0.1, "lr_decay": lr_decay, "weight_decay": weight_decay, "eps": 1e-10, "maximize": False}))


class Driver:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "results" not in answer:
            raise RuntimeError(answer)
        return answer

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


def take_our_step(driver, row, arrays, grad, options):
    """Changes `arrays` (the parameter, its state and the count, in the row's order) as the row does."""
    storages = list(arrays) + ([] if grad is None else [grad])
    args = [{"tensor": {"storage": i, "dtype": array.dtype.name, "shape": list(array.shape), "offset": 0,
                        "strides": [stride // array.itemsize for stride in array.strides]}} for i, array in enumerate(storages)]
    if grad is None:
        args.append(None)
    for value in options.values():
        args.append({"bool": value} if isinstance(value, bool) else {"float": float(value).hex()})
    answer = driver.ask({"op": row, "seed": "1", "starve": False, "args": args, "storages": [base64.b64encode(array.tobytes()).decode() for array in storages]})
    for place, data in answer["storages"].items():
        arrays[int(place)][...] = numpy.frombuffer(base64.b64decode(data), dtype=arrays[int(place)].dtype).reshape(arrays[int(place)].shape)


def torch_options(options):
    rest = {name: value for name, value in options.items() if name not in ("beta1", "beta2")}
    return {**rest, "betas": (options["beta1"], options["beta2"])} if "beta1" in options else rest


def run(driver, row, kind, states, options, dtype, count_dtype):
    """What is wrong; None when every step agrees."""
    rng = numpy.random.default_rng(1)
    start = rng.standard_normal(SHAPE).astype(dtype)
    parameter = torch.from_numpy(start.copy()).requires_grad_()
    optimizer = kind([parameter], **torch_options(options))
    arrays = [start.copy()] + [numpy.zeros(SHAPE, dtype) for _ in states] + [numpy.zeros((), count_dtype)]
    tolerance = 200 * numpy.finfo(dtype).eps
    n_taken = 0
    for step in range(N_STEPS):
        grad = None if step in SKIPPED else rng.standard_normal(SHAPE).astype(dtype)
        parameter.grad = None if grad is None else torch.from_numpy(grad)
        optimizer.step()
        take_our_step(driver, row, arrays, grad, options)
        n_taken += grad is not None
        if not numpy.allclose(arrays[0], parameter.detach().numpy(), rtol=tolerance, atol=tolerance):
            return f"step {step}: the parameter is off by {numpy.abs(arrays[0] - parameter.detach().numpy()).max()}"
        if arrays[-1] != n_taken:
            return f"step {step}: {arrays[-1]} steps are counted, {n_taken} were taken"
        theirs = optimizer.state[parameter] if n_taken else {}
        for array, name in zip(arrays[1:-1], states.values()):
            if theirs.get(name) is not None and not numpy.allclose(array, theirs[name].numpy(), rtol=tolerance, atol=tolerance):
                return f"step {step}: {name} is off by {numpy.abs(array - theirs[name].numpy()).max()}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", type=shlex.split, default=["build/release/oracle_driver"])
    driver = Driver(parser.parse_args().driver)
    n_wrong = n_runs = 0
    for row, kind, states, options in RUNS:
        for dtype in ("float32", "float64"):
            for count_dtype in ("float32", "float64", "int64"):
                wrong = run(driver, row, kind, states, options, dtype, count_dtype)
                n_runs += 1
                n_wrong += wrong is not None
                if wrong:
                    print(f"FAILED {row} {dtype}, count {count_dtype}, {options}\n    {wrong}")
    code = driver.close()
    print(f"{n_runs} runs of {N_STEPS} steps, {n_wrong} failed" + (f"; the driver ended with {code}" if code else ""))
    return 1 if n_wrong or code else 0


if __name__ == "__main__":
    sys.exit(main())
