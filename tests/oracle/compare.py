#!/usr/bin/python3
"""Compares every row of the op table with PyTorch, from the row alone.

    tests/oracle/compare.py [--cases N] [--gradients N] [--seed N] [--driver "COMMAND"] [--starve] [ROW...]

Arguments are drawn by domains.py from the row's schema and domain words, the same ones for the same seed. A call must answer PyTorch's values (within the
row's tolerance class), dtype, shape and sharing of memory, and leave in memory what PyTorch leaves; where PyTorch fails, it must fail. The row's gradient
rule must answer PyTorch's gradients (gradients.py). What differs on purpose is in deviations.py. The driver is build/release/oracle_driver unless another is named; it checks further promises itself (driver.c).
"""

import argparse
import base64
import json
import multiprocessing
import os
import shlex
import subprocess
import sys
import traceback
import warnings
import zlib
from pathlib import Path

import numpy
import torch

sys.path.insert(0, str(Path(__file__).parent))
from adapters import ADAPTERS  # noqa: E402
from deviations import DEVIATIONS, GRADIENT_DEVIATIONS, find_deviation, is_hazard  # noqa: E402
from domains import DTYPE_NAMES, Drawer  # noqa: E402
from gradients import compare_gradients, has_gradients  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
MIN_COMPARED = 8  # answers a row needs before it may pass


# ---- asking us ----

def encode(data):
    return base64.b64encode(data).decode()


def tensor_json(case, tensor):
    return {"storage": case.storage_of(tensor), "dtype": DTYPE_NAMES[tensor.dtype], "shape": list(tensor.shape),
            "strides": list(tensor.stride()), "offset": tensor.storage_offset()}


def arg_json(case, param, value):
    if value is None:
        return None
    if isinstance(value, torch.Tensor):
        return {"tensor": tensor_json(case, value)}
    if isinstance(value, list):
        if param["type"] == "Tensor[]":
            return {"tensors": [tensor_json(case, tensor) for tensor in value]}
        return {"ints": [str(number) for number in value]}
    if isinstance(value, bool):
        return {"bool": value}
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, float):
        return {"float": value.hex() if numpy.isfinite(value) else repr(value)}
    if isinstance(value, torch.dtype):
        return {"dtype": DTYPE_NAMES[value]}
    return {"string": value}


def request_of(case, seed, starve):
    return json.dumps({
        "op": case.row["name"], "seed": str(seed), "starve": starve,
        "storages": [encode(storage.values.numpy().tobytes()) for storage in case.storages],
        "args": [arg_json(case, param, case.values[param["name"]]) for param in case.row["params"]],
    })


def gradient_request_of(gradient_case, seed, starve):
    request = json.loads(request_of(gradient_case.case, seed, starve))
    request["grads"] = [None if weight is None else tensor_json(gradient_case.case, weight) for weight in gradient_case.weights]
    request["needs"] = gradient_case.needs
    return json.dumps(request)


def ask(driver, requests):
    """The answers, as far as they came: a driver that died leaves fewer than there were requests."""
    done = subprocess.run(driver, input="\n".join(requests) + "\n", capture_output=True, text=True, cwd=ROOT)
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.endswith("}")]
    return answers, done.returncode, done.stderr


def tensor_of(result):
    values = numpy.frombuffer(base64.b64decode(result["data"]), dtype=result["dtype"])
    return torch.from_numpy(values.reshape(result["shape"]).copy())


# ---- asking PyTorch ----

class NoOverload(Exception):
    """PyTorch has no such signature: the schema of the row takes more."""


def function_named(name):
    found = torch
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    return found


def is_signature_error(error):
    return isinstance(error, TypeError) and any(words in str(error) for words in (
        "invalid combination of arguments", "unexpected keyword", "missing", "must be", "takes", "multiple values", "argument")) or (
            # None in the place of a dimension chooses the overload for named dimensions.
            isinstance(error, RuntimeError) and any(words in str(error) for words in (
                "look up dimensions by name", "You passed a dimname", "Overloaded torch operator invoked from Python failed", "torch operator was called with")))


def call_forms(case, values):
    """PyTorch's ways to leave something out differ from op to op: without what is None or a default, then with everything."""
    def form(keeps):
        args, kwargs, by_name = [], {}, False
        for param in case.row["params"]:
            value = values[param["name"]]
            if not keeps(param, value):
                by_name = True
            elif by_name or param["keyword_only"]:
                kwargs[param["name"]] = value
            else:
                args.append(value)
        return args, kwargs
    yield form(lambda param, value: value is not None and not (param["has_default"] and value == param.get("default") and not isinstance(value, torch.Tensor)))
    yield form(lambda param, value: value is not None)
    yield form(lambda param, value: True)


def ask_torch(case, values=None):
    """The list of result tensors, or the exception. `values` stand in the place of the drawn ones."""
    if case.row["name"] in ADAPTERS:
        try:
            return [ADAPTERS[case.row["name"]](case.values if values is None else values)]
        except Exception as raised:  # noqa: BLE001: whatever it raises is its answer
            return raised
    function = function_named(case.row["torch_name"])
    torch.manual_seed(1)
    error = None
    for args, kwargs in call_forms(case, case.values if values is None else values):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = function(*args, **kwargs)
            break
        except Exception as raised:  # noqa: BLE001: whatever it raises is its answer
            if not is_signature_error(raised):
                return raised
            error = raised
    else:
        return NoOverload(str(error))
    results = list(result) if isinstance(result, (tuple, list)) else [result]
    return [item if isinstance(item, torch.Tensor) else torch.tensor(item) for item in results]


# ---- comparing ----

def largest(tensor):
    finite = tensor.double()[torch.isfinite(tensor.double())] if tensor.numel() else tensor.double()
    return finite.abs().max().item() if finite.numel() else 0.0


def allowed_error(case, before, tolerance, theirs):
    """How far each element may be off."""
    eps = torch.finfo(theirs.dtype).eps
    tiny = torch.finfo(theirs.dtype).tiny
    scale = theirs.double().abs()
    if tolerance == "rounding":
        return 8 * eps * scale + tiny
    longest = max([size for tensor in before for size in tensor.shape] + [max([tensor.numel() for tensor in before] + [1]) // theirs.numel()])
    peaks = sorted((largest(tensor) for tensor in before), reverse=True) or [1.0]
    product = peaks[0] * (peaks[1] if len(peaks) > 1 else peaks[0])
    factors = [abs(value) for value in case.values.values() if isinstance(value, (int, float)) and numpy.isfinite(value)]
    scale = torch.clamp(scale, min=max(peaks[0], product) * max(factors + [1]))
    return (eps * (8 + longest) if tolerance == "reduce" else 40 * eps * (8 + longest)) * scale + tiny


def difference(case, before, tolerance, ours, theirs):
    """What is wrong with a result; None when it agrees."""
    if ours.dtype != theirs.dtype:
        return f"dtype {DTYPE_NAMES[ours.dtype]}, PyTorch {str(theirs.dtype)[6:]}"
    if list(ours.shape) != list(theirs.shape):
        return f"shape {list(ours.shape)}, PyTorch {list(theirs.shape)}"
    if theirs.numel() == 0:
        return None
    theirs = theirs.contiguous()
    if not theirs.is_floating_point() or tolerance == "exact":
        same = ours == theirs
        if theirs.is_floating_point():
            same = (same & (torch.signbit(ours) == torch.signbit(theirs))) | (ours.isnan() & theirs.isnan())
    else:
        a, b = ours.double(), theirs.double()
        same = (a == b) | (a.isnan() & b.isnan()) | ((a - b).abs() <= allowed_error(case, before, tolerance, theirs))
    if bool(same.all()):
        return None
    at = (~same).reshape(-1).nonzero()[0].item()
    return (f"{int((~same).sum())} of {theirs.numel()} elements differ; the first, at {at}, is {ours.reshape(-1)[at].item()!r}, "
            f"PyTorch {theirs.reshape(-1)[at].item()!r}")


def distribution_difference(ours, theirs):
    """Two samples of one distribution: Kolmogorov and Smirnov's distance, below what one in ten million pairs exceeds."""
    if ours.dtype != theirs.dtype or list(ours.shape) != list(theirs.shape):
        return f"{DTYPE_NAMES[ours.dtype]}{list(ours.shape)}, PyTorch {str(theirs.dtype)[6:]}{list(theirs.shape)}"
    n = theirs.numel()
    if n == 0:
        return None
    a, b = (numpy.sort(sample.double().reshape(-1).numpy()) for sample in (ours, theirs))
    points = numpy.concatenate([a, b])
    distance = numpy.abs(numpy.searchsorted(a, points, side="right") - numpy.searchsorted(b, points, side="right")).max() / n
    if distance > 2.9 * (2 / n) ** 0.5:
        return f"another distribution: distance {distance:.4f} at {n} draws"
    return None


def storage_address(tensor):
    return (tensor.untyped_storage() if hasattr(tensor, "untyped_storage") else tensor.storage()).data_ptr()


def shared_storage(case, tensor):
    if not isinstance(tensor, torch.Tensor) or tensor.numel() == 0:
        return None
    return next((i for i, storage in enumerate(case.storages) if storage_address(storage.values) == storage_address(tensor)), -1)


def compare(case, before, ours, theirs):
    """What is wrong with an answer; None when it agrees."""
    if isinstance(theirs, Exception):
        return None if "error" in ours else f"an answer, where PyTorch says {type(theirs).__name__}: {str(theirs).splitlines()[0][:160]}"
    if "error" in ours:
        return f"the error \"{ours['message']}\", where PyTorch answers"
    if len(ours["results"]) != len(theirs):
        return f"{len(ours['results'])} results, PyTorch {len(theirs)}"
    tolerance = case.row["tolerance"]
    for i, (result, expected) in enumerate(zip(ours["results"], theirs)):
        which = f"result {i}: " if len(theirs) > 1 else ""
        if tolerance == "statistic":
            wrong = distribution_difference(tensor_of(result), expected)
        else:
            wrong = difference(case, before, tolerance, tensor_of(result), expected)
        if wrong:
            return which + wrong
        shared = shared_storage(case, expected)
        if shared is not None and shared != result["shares"]:
            names = {-1: "memory of its own"}
            return (f"{which}it has {names.get(result['shares'], 'the memory of an operand')}, in PyTorch {names.get(shared, 'the memory of an operand')}")
    if tolerance == "statistic":
        return None
    for i, storage in enumerate(case.storages):
        if storage.n_bytes == 0:
            continue
        data = base64.b64decode(ours["storages"][str(i)]) if str(i) in ours["storages"] else case.data_before[i]
        left = torch.from_numpy(numpy.frombuffer(data, dtype=DTYPE_NAMES[storage.values.dtype]).copy())
        wrong = difference(case, before, tolerance, left, storage.values)
        if wrong:
            return f"the memory of an operand is left otherwise than PyTorch leaves it: {wrong}"
    return None


class Report:
    def __init__(self):
        self.n_same = self.n_errors = self.n_no_overload = 0
        self.no_overload = ""
        self.deviations = []  # the place in DEVIATIONS of each that was seen
        self.gradients = None  # the GradientReport of a row that can have any
        self.wrong = []

    @property
    def n_compared(self):
        return self.n_same + len(self.deviations)


def run_row(row, options):
    report = Report()
    try:
        drawer = Drawer(row)
        function_named(row["torch_name"])
    except (ValueError, AttributeError) as error:
        report.wrong.append(str(error))
        return report
    cases, requests = [], []
    n_cases = min(options.cases, 12) if drawer.is_statistic else options.cases
    for index in range(n_cases):
        rng = numpy.random.default_rng([options.seed, zlib.crc32(row["name"].encode()), index])
        try:
            case = drawer.draw(rng, index)
            while is_hazard(case):
                case = drawer.draw(rng, index)
        except ValueError as error:
            report.wrong.append(str(error))
            return report
        cases.append(case)
        requests.append(request_of(case, index, options.starve and not drawer.is_statistic))
    if drawer.is_statistic:
        requests += requests
    answers, code, complaint = ask(options.driver, requests)
    if len(answers) < len(requests) or code != 0:
        at = cases[len(answers) % len(cases)].describe()
        report.wrong.append(f"the driver ended with {code} at {at}\n{complaint[-2500:]}")
    for i, (case, ours) in enumerate(zip(cases, answers)):
        if "broken" in ours:
            report.wrong.append(f"{case.describe()}\n        {ours['broken']}")
            continue
        before = [tensor.clone() for tensor in case.operands()]
        case.data_before = [storage.values.numpy().tobytes() for storage in case.storages]
        if options.trace:
            print(case.describe(), file=sys.stderr, flush=True)
        theirs = ask_torch(case)
        if isinstance(theirs, NoOverload):
            report.n_no_overload += 1
            report.no_overload = f"{case.describe()}: {str(theirs).splitlines()[0][:120]}"
            continue
        wrong = compare(case, before, ours, theirs)
        if wrong is None and drawer.is_statistic and len(answers) == len(requests) and answers[len(cases) + i] != ours:
            wrong = "the same seed answers other numbers the second time"
        if wrong is None:
            if isinstance(theirs, Exception):
                report.n_errors += 1
            else:
                report.n_same += 1
            continue
        deviation = find_deviation(case, ours, theirs)
        if deviation is not None:
            report.deviations.append(DEVIATIONS.index(deviation))
        else:
            case_text = case.describe() if isinstance(theirs, Exception) else case_before_text(case, before)
            report.wrong.append(f"{case_text}\n        {wrong}")
    if not report.wrong and report.n_compared < min(MIN_COMPARED, max(1, n_cases // 16)):
        report.wrong.append(f"only {report.n_compared} calls that both answered: the domain draws too few that work"
                            + (f"; no overload of PyTorch's for {report.no_overload}" if report.n_no_overload else ""))
    return report


def run_gradients(row, report, options):
    drawer = Drawer(row)
    if not has_gradients(row, drawer) or options.gradients == 0:
        return

    def rng_of(index):
        return numpy.random.default_rng([options.seed, zlib.crc32(row["name"].encode()), index, 1])

    def ask_driver(gradient_cases, gradient_report):
        requests = [gradient_request_of(gradient_case, index, options.starve) for index, gradient_case in enumerate(gradient_cases)]
        answers, code, complaint = ask(options.driver, requests) if requests else ([], 0, "")
        if len(answers) < len(requests) or code != 0:
            at = gradient_cases[min(len(answers), len(requests) - 1)].describe()
            gradient_report.wrong.append(f"the driver ended with {code} at {at}\n{complaint[-2500:]}")
        return answers

    report.gradients = compare_gradients(row, drawer, options, rng_of, ask_torch, ask_driver, tensor_of)
    report.wrong += [f"gradient: {text}" for text in report.gradients.wrong]


def run_rows(rows, options):
    """The reports in order, each row in a process of its own, because some of the calls that PyTorch should refuse corrupt its memory."""
    context = multiprocessing.get_context("fork")

    def run(row, sender):
        try:
            report = run_row(row, options)
            if not report.wrong:
                run_gradients(row, report, options)
            sender.send(report)
        except Exception:  # noqa: BLE001: a mistake of the oracle's own
            report = Report()
            report.wrong.append(traceback.format_exc())
            sender.send(report)

    def begin(row):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=run, args=(row, sender))
        process.start()
        sender.close()
        return process, receiver

    running = []
    for index in range(len(rows)):
        while len(running) < min(len(rows) - index, os.cpu_count() or 1):
            running.append(begin(rows[index + len(running)]))
        process, receiver = running.pop(0)
        try:
            report = receiver.recv()
        except EOFError:
            process.join()
            report = Report()
            report.wrong.append(f"PyTorch died with {process.exitcode}; see is_hazard in deviations.py")
        process.join()
        yield report


def case_before_text(case, before):
    """The call as it was before an in-place op changed its operands."""
    for tensor, value in zip(case.operands(), before):
        if tensor.stride() == () or 0 not in tensor.stride():
            tensor.copy_(value)
    return case.describe()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="names of rows; every row when there are none")
    parser.add_argument("--cases", type=int, default=150, help="calls drawn for each row")
    parser.add_argument("--gradients", type=int, default=60, help="calls drawn for each row whose gradients are compared")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--driver", type=shlex.split, default=["build/release/oracle_driver"], help="the command that runs our ops")
    parser.add_argument("--table", type=shlex.split, default=None, help="the command that prints the table; the driver with --table when it is not given")
    parser.add_argument("--starve", action="store_true", help="let every allocation of every call fail in turn")
    parser.add_argument("--examples", type=int, default=3, help="differences shown for each row")
    parser.add_argument("--trace", action="store_true", help="print each call before PyTorch makes it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = json.loads(subprocess.run(options.table or options.driver + ["--table"], capture_output=True, text=True, check=True, cwd=ROOT).stdout)
    unknown = set(options.rows) - {row["name"] for row in table}
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    # What asks or changes a graph needs one: tests/oracle/compare_autograd.py compares whole programs.
    table = [row for row in table if "graph" not in row["flags"]]
    rows = [row for row in table if not options.rows or row["name"] in options.rows]
    n_failed = n_calls = n_gradients = 0
    seen = [0] * len(DEVIATIONS)
    seen_gradients = [0] * len(GRADIENT_DEVIATIONS)
    for row, report in zip(rows, run_rows(rows, options)):
        for place in report.deviations:
            seen[place] += 1
        n_calls += report.n_compared + report.n_errors
        notes = [f"{report.n_same} alike", f"{report.n_errors} fail alike"]
        if report.deviations:
            notes.append(f"{len(report.deviations)} deviate as documented")
        if report.n_no_overload:
            notes.append(f"{report.n_no_overload} without an overload in PyTorch")
        if report.gradients and row["differentiable"]:
            n_gradients += report.gradients.n_same + len(report.gradients.deviations)
            notes.append(f"{report.gradients.n_same} gradients alike")
        if report.gradients and report.gradients.deviations:
            notes.append(f"{len(report.gradients.deviations)} gradients deviate as documented")
            for place in report.gradients.deviations:
                seen_gradients[place] += 1
        if report.wrong:
            n_failed += 1
            notes.append(f"{len(report.wrong)} WRONG")
        print(f"{'FAILED' if report.wrong else 'ok':7}{row['name']:22}{', '.join(notes)}", flush=True)
        for text in report.wrong[:options.examples]:
            print(f"    {text}", flush=True)
    if any(seen) or any(seen_gradients):
        print("\nDocumented deviations from PyTorch " + torch.__version__ + ":")
    for deviation, count in zip(DEVIATIONS, seen):
        if count or not options.rows:
            print(f"  {count:5} calls  {deviation.rows}: {deviation.reason}")
    for deviation, count in zip(GRADIENT_DEVIATIONS, seen_gradients):
        if count or not options.rows:
            print(f"  {count:5} gradients  {deviation.rows}: {deviation.reason}")
    print(f"\n{n_calls} calls compared, {n_gradients} calls' gradients")
    print(f"{len(rows) - n_failed} rows passed, {n_failed} rows failed")
    return 1 if n_failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
