#!/usr/bin/python3
"""Compares modules and optimisers with PyTorch's: the same parameters on both sides, then outputs, gradients and steps.

    tests/oracle/compare_nn.py [NAME...]     all of them, or those cases whose module or optimiser is named

The other side is nn_driver.js, so what is compared is what users call. Both run in float32 (1e-5) and float64 (1e-10).
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy
import torch

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
PYTORCH_IS_COARSER = {"Hardsigmoid": 1e-7}  # its gradient in float64 has a sixth in float32
DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Driver:
    def __init__(self):
        command = ["node", str(ROOT / "tests/oracle/nn_driver.js")]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


def encode(tensor):
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "data": tensor.detach().flatten().tolist()}


def encode_all(named):
    return {name: encode(value) for name, value in named.items()}


def argument(value):
    if isinstance(value, torch.Tensor):
        return encode(value)
    return list(value) if isinstance(value, tuple) else value


def far(what, ours, theirs, tolerance):
    """What is wrong with an answer, or None."""
    theirs = theirs.detach().numpy()
    values = numpy.array(ours["data"], dtype=numpy.float64).reshape(ours["shape"])
    if list(theirs.shape) != ours["shape"]:
        return f"{what}: shape {ours['shape']}, PyTorch's {list(theirs.shape)}"
    if str(theirs.dtype) != ours["dtype"]:
        return f"{what}: {ours['dtype']}, PyTorch's {theirs.dtype}"
    scale = max(1.0, float(numpy.abs(theirs).max(initial=0)))
    distance = float(numpy.abs(values - theirs).max(initial=0))
    if not distance <= tolerance * scale:
        return f"{what}: {distance:.3g} away, allowed {tolerance * scale:.3g}"
    return None


def far_all(what, ours, theirs, tolerance):
    if set(ours) != set(theirs):
        return [f"{what}: {sorted(ours)}, PyTorch's {sorted(theirs)}"]
    return [wrong for name in theirs if (wrong := far(f"{what} {name}", ours[name], theirs[name], tolerance))]


# ---- modules ----

POSITIVE, UNIT, INDEX, CLASSES, SIGNS = "positive", "unit", "index", "classes", "signs"


def case(name, *args, x=(4, 3), more=(), **options):
    """A module with these arguments; its inputs are of these shapes, or (shape, what is in them)."""
    return {"name": name, "args": args, "options": options, "inputs": [x, *more]}


def recurrent(name, n_states, *args, x, state, **options):
    yield case(name, *args, x=x, **options)
    yield case(name, *args, x=x, more=[state] * n_states, **options)


WEIGHT = torch.tensor([0.5, 1.5, 2.0, 1.0, 0.25])
LOGITS, TARGETS = (6, 5), ((6,), CLASSES)
CASES = [
    case("Identity"),
    case("Linear", 3, 2), case("Linear", 3, 2, False), case("Linear", 3, 2, x=(2, 4, 3), bias=False),
    case("Bilinear", 3, 2, 4, x=(5, 3), more=[(5, 2)]), case("Bilinear", 3, 2, 4, False, x=(5, 3), more=[(5, 2)]),
    case("Embedding", 7, 3, x=((2, 5), INDEX)), case("Embedding", 7, 3, x=((2, 5), INDEX), padding_idx=2),
    case("Flatten", x=(2, 3, 4)), case("Flatten", 0, 1, x=(2, 3, 4)),
    case("Dropout", 0.0), case("Dropout", 0.7),
    case("Conv1d", 2, 3, 3, x=(2, 2, 9)), case("Conv1d", 2, 4, 2, x=(2, 2, 9), stride=2, padding=1, dilation=2, groups=2, bias=False),
    case("Conv2d", 2, 3, 3, x=(2, 2, 6, 7)), case("Conv2d", 2, 4, (2, 3), x=(2, 2, 6, 7), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, bias=False),
    case("ConvTranspose1d", 2, 3, 3, x=(2, 2, 5)), case("ConvTranspose1d", 4, 2, 3, x=(2, 4, 5), stride=2, padding=1, output_padding=1, groups=2, bias=False),
    case("ConvTranspose2d", 2, 3, 3, x=(2, 2, 4, 5)), case("ConvTranspose2d", 4, 2, (2, 3), x=(2, 4, 4, 5), stride=2, padding=1, output_padding=(1, 0), groups=2, dilation=2),
    case("MaxPool1d", 2, x=(2, 3, 8)), case("MaxPool1d", 3, x=(2, 3, 8), stride=2, padding=1, ceil_mode=True),
    case("MaxPool2d", 2, x=(2, 3, 6, 8)), case("MaxPool2d", (3, 2), x=(2, 3, 6, 8), stride=(2, 1), padding=1),
    case("AvgPool1d", 2, x=(2, 3, 8)), case("AvgPool1d", 3, x=(2, 3, 8), stride=2, padding=1, count_include_pad=False),
    case("AvgPool2d", 2, x=(2, 3, 6, 8)), case("AvgPool2d", 3, x=(2, 3, 6, 8), stride=2, padding=1, ceil_mode=True, divisor_override=5),
    case("AdaptiveAvgPool1d", 3, x=(2, 3, 8)), case("AdaptiveAvgPool2d", (2, 3), x=(2, 3, 6, 8)), case("AdaptiveMaxPool2d", (2, 3), x=(2, 3, 6, 8)),
    case("BatchNorm1d", 3, x=(5, 3)), case("BatchNorm1d", 3, x=(5, 3, 4), eps=0.1, momentum=0.3), case("BatchNorm1d", 3, x=(5, 3), affine=False),
    case("BatchNorm1d", 3, x=(5, 3), track_running_stats=False),
    case("BatchNorm2d", 3, x=(2, 3, 4, 5)), case("BatchNorm2d", 3, 1e-3, 0.5, x=(2, 3, 4, 5)),
    case("InstanceNorm1d", 3, x=(2, 3, 5)), case("InstanceNorm1d", 3, x=(2, 3, 5), affine=True, track_running_stats=True, momentum=0.3),
    case("InstanceNorm2d", 3, x=(2, 3, 4, 5)), case("InstanceNorm2d", 3, 0.1, x=(2, 3, 4, 5), affine=True, track_running_stats=True),
    case("LayerNorm", 3), case("LayerNorm", (3, 4), x=(2, 3, 4), eps=0.1), case("LayerNorm", 3, elementwise_affine=False),
    case("GroupNorm", 2, 4, x=(3, 4, 5)), case("GroupNorm", 2, 4, x=(3, 4, 5), eps=0.1, affine=False),
    *[case(name) for name in ("ReLU", "ReLU6", "Sigmoid", "Tanh", "GELU", "ELU", "SELU", "CELU", "LeakyReLU", "SiLU", "Mish", "Softplus", "Softsign", "LogSigmoid",
                              "Hardtanh", "Hardsigmoid", "Hardswish", "Hardshrink", "Softshrink", "Tanhshrink", "PReLU")],
    case("GELU", approximate="tanh"), case("ELU", 0.5), case("CELU", 0.5), case("LeakyReLU", 0.3), case("Softplus", 2.0, 1.0), case("Hardtanh", -0.5, 0.75),
    case("Hardshrink", 0.2), case("Softshrink", 0.2), case("Threshold", 0.1, -2.0), case("PReLU", 3), case("PReLU", init=0.5),
    case("Softmax", 1), case("LogSoftmax", 0), case("Softmin", 1), case("GLU", x=(4, 6)), case("GLU", 0),
    case("CosineSimilarity", more=[(4, 3)]), case("CosineSimilarity", 0, more=[(4, 3)]),
    case("PairwiseDistance", more=[(4, 3)]), case("PairwiseDistance", 1.0, more=[(4, 3)], keepdim=True),
    *recurrent("RNN", 1, 3, 4, x=(5, 2, 3), state=(1, 2, 4)), case("RNN", 3, 4, 2, x=(5, 2, 3), nonlinearity="relu", bias=False), case("RNN", 3, 4, x=(5, 3)),
    *recurrent("LSTM", 2, 3, 4, x=(5, 2, 3), state=(1, 2, 4)), *recurrent("LSTM", 2, 3, 4, 2, x=(2, 5, 3), state=(4, 2, 4), batch_first=True, bidirectional=True),
    case("LSTM", 3, 4, x=(5, 3), bias=False), *recurrent("LSTM", 2, 3, 4, x=(5, 3), state=(1, 4)),
    *recurrent("GRU", 1, 3, 4, x=(5, 2, 3), state=(1, 2, 4)), *recurrent("GRU", 1, 3, 4, 2, x=(2, 5, 3), state=(4, 2, 4), batch_first=True, bidirectional=True, dropout=0.0),
    case("GRU", 3, 4, x=(5, 3), bias=False),
    *recurrent("RNNCell", 1, 3, 4, x=(2, 3), state=(2, 4)), case("RNNCell", 3, 4, x=(2, 3), nonlinearity="relu", bias=False),
    *recurrent("LSTMCell", 2, 3, 4, x=(2, 3), state=(2, 4)), *recurrent("GRUCell", 1, 3, 4, x=(2, 3), state=(2, 4)), case("GRUCell", 3, 4, False, x=(2, 3)),
    *[case(name, more=[(4, 3)], reduction=reduction) for name in ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "SoftMarginLoss") for reduction in ("mean", "sum", "none")],
    case("SmoothL1Loss", more=[(4, 3)], beta=0.5), case("HuberLoss", more=[(4, 3)], delta=0.5),
    *[case("CrossEntropyLoss", x=LOGITS, more=[TARGETS], **options) for options in (
        {}, {"weight": WEIGHT}, {"reduction": "sum"}, {"reduction": "none", "ignore_index": 1}, {"label_smoothing": 0.1, "weight": WEIGHT})],
    *[case("NLLLoss", x=LOGITS, more=[TARGETS], **options) for options in ({}, {"weight": WEIGHT, "ignore_index": 2}, {"reduction": "sum"})],
    *[case("BCELoss", x=((4, 5), UNIT), more=[((4, 5), UNIT)], **options) for options in ({}, {"weight": WEIGHT, "reduction": "sum"})],
    *[case("BCEWithLogitsLoss", x=(4, 5), more=[((4, 5), UNIT)], **options) for options in ({}, {"weight": WEIGHT, "pos_weight": WEIGHT + 1, "reduction": "none"})],
    *[case("KLDivLoss", more=[((4, 3), UNIT)], **options) for options in ({}, {"reduction": "batchmean"}, {"reduction": "sum", "log_target": True})],
    case("HingeEmbeddingLoss", more=[((4, 3), SIGNS)]), case("HingeEmbeddingLoss", 0.5, more=[((4, 3), SIGNS)], reduction="sum"),
    case("MarginRankingLoss", x=(4,), more=[(4,), ((4,), SIGNS)]), case("MarginRankingLoss", 0.5, x=(4,), more=[(4,), ((4,), SIGNS)], reduction="none"),
    case("CosineEmbeddingLoss", more=[(4, 3), ((4,), SIGNS)]), case("CosineEmbeddingLoss", 0.3, more=[(4, 3), ((4,), SIGNS)], reduction="sum"),
    case("TripletMarginLoss", more=[(4, 3), (4, 3)]), case("TripletMarginLoss", 0.5, 1.0, more=[(4, 3), (4, 3)], swap=True, reduction="none"),
    case("PoissonNLLLoss", more=[((4, 3), POSITIVE)]), case("PoissonNLLLoss", False, True, x=((4, 3), POSITIVE), more=[((4, 3), POSITIVE)], reduction="sum"),
]


def draw(spec, dtype, generator):
    shape, words = spec if isinstance(spec[-1], str) else (spec, "finite")
    if words in (INDEX, CLASSES):
        return torch.randint(0, 7 if words == INDEX else 5, shape, generator=generator)
    if words == SIGNS:
        return (torch.randint(0, 2, shape, generator=generator) * 2 - 1).to(dtype)
    values = torch.rand(shape, generator=generator, dtype=torch.float64)
    values = values * 0.9 + 0.05 if words == UNIT else values * 3 + 0.5 if words == POSITIVE else values * 4 - 2
    return values.to(dtype)


def cast(value, dtype):
    return value.to(dtype) if isinstance(value, torch.Tensor) else value


def compare_module(driver, it, dtype_name, is_training):
    dtype, tolerance = DTYPES[dtype_name], max(TOLERANCE[dtype_name], PYTORCH_IS_COARSER.get(it["name"], 0))
    generator = torch.Generator().manual_seed(3)
    options = {name: cast(value, dtype) for name, value in it["options"].items()}
    if it["name"] == "Dropout" and it["args"][0] > 0:
        is_training = False  # what it does at random is for tests/js/nn.test.js
    module = getattr(torch.nn, it["name"])(*it["args"], **options).to(dtype).train(is_training)
    for _, buffer in module.named_buffers():
        if buffer.is_floating_point() and "Norm" in it["name"]:
            buffer += torch.rand(buffer.shape, generator=generator).to(dtype)
    inputs = [draw(spec, dtype, generator) for spec in it["inputs"]]
    request = {"what": "module", "name": it["name"], "args": [argument(value) for value in it["args"]],
               "options": {name: argument(value) for name, value in options.items()}, "dtype": dtype_name, "train": is_training,
               "state": encode_all(module.state_dict()), "inputs": [encode(value) for value in inputs]}
    n_wanted = 1 if it["name"].endswith("Loss") else len(inputs)  # targets are given
    for value in inputs[:n_wanted]:
        if value.is_floating_point():
            value.requires_grad_(True)
    request["n_wanted"] = n_wanted
    rest = inputs[1:]
    outputs = module(inputs[0], *([tuple(rest)] if it["name"].startswith("LSTM") and rest else rest))
    flat = [outputs] if isinstance(outputs, torch.Tensor) else [x for part in outputs for x in ([part] if isinstance(part, torch.Tensor) else part)]
    weights = [draw((tuple(output.shape), "finite"), dtype, generator) for output in flat]
    total = sum((output * weight).sum() for output, weight in zip(flat, weights))
    if total.requires_grad:
        total.backward()
    request["weights"] = [encode(weight) for weight in weights]
    answer = driver.ask(request)
    wrong = []
    if len(answer["outputs"]) != len(flat):
        return [f"{len(answer['outputs'])} outputs, PyTorch's {len(flat)}"]
    wrong += [far(f"output {i}", ours, theirs, tolerance) for i, (ours, theirs) in enumerate(zip(answer["outputs"], flat))]
    wrong += far_all("gradient of input", answer["input_grads"], {str(i): value.grad for i, value in enumerate(inputs) if value.grad is not None}, tolerance)
    wrong += far_all("gradient of", answer["grads"], {name: value.grad for name, value in module.named_parameters() if value.grad is not None}, tolerance)
    wrong += far_all("state", answer["state"], module.state_dict(), tolerance)
    return [text for text in wrong if text]


# ---- how new ones are filled ----

LARGE = [case("Linear", 300, 200), case("Bilinear", 40, 30, 50), case("Embedding", 300, 100), case("Embedding", 300, 100, padding_idx=-1), case("Conv1d", 40, 60, 5), case("Conv2d", 40, 60, 3, groups=2),
         case("ConvTranspose1d", 40, 60, 5), case("ConvTranspose2d", 40, 60, 3), case("BatchNorm1d", 9), case("BatchNorm2d", 9), case("LayerNorm", 9), case("GroupNorm", 3, 9), case("PReLU", 4),
         case("RNN", 100, 90), case("LSTM", 60, 90, 2, bidirectional=True), case("GRU", 60, 90), case("LSTMCell", 60, 90), case("GRUCell", 60, 90), case("RNNCell", 60, 90)]


def compare_filling(what, ours, theirs):
    """Bounds, means and deviations: the numbers are drawn by other generators."""
    wrong = []
    if list(ours) != list(theirs):
        return [f"{what}: {list(ours)}, PyTorch's {list(theirs)}"]
    for name, tensor in theirs.items():
        values, expected = numpy.array(ours[name]["data"]), tensor.detach().double().numpy().ravel()
        if ours[name]["shape"] != list(tensor.shape):
            wrong.append(f"{what} {name}: shape {ours[name]['shape']}, PyTorch's {list(tensor.shape)}")
            continue
        spread = expected.std()
        allowed = 6 * spread / numpy.sqrt(len(expected))
        if abs(values.mean() - expected.mean()) > 1.5 * allowed or abs(values.std() - spread) > max(allowed, 1e-9):
            wrong.append(f"{what} {name}: mean {values.mean():.4g}, deviation {values.std():.4g}; PyTorch's {expected.mean():.4g}, {spread:.4g}")
        is_uniform = len(expected) > 1000 and numpy.abs(expected).max() < 1.8 * spread
        if is_uniform and abs(numpy.abs(values).max() / numpy.abs(expected).max() - 1) > 0.05:
            wrong.append(f"{what} {name}: up to {numpy.abs(values).max():.4g}, PyTorch's up to {numpy.abs(expected).max():.4g}")
    return wrong


def compare_fresh(driver, it):
    torch.manual_seed(5)
    module = getattr(torch.nn, it["name"])(*it["args"], **it["options"])
    answer = driver.ask({"what": "fresh", "seed": 5, "name": it["name"], "args": [argument(value) for value in it["args"]], "options": it["options"], "dtype": "float32"})
    wrong = compare_filling("filled", answer["state"], module.state_dict())
    return wrong + [f"{name} does not require grad" for name, value in answer["requires_grad"].items() if not value]


# ---- training ----

TRAININGS = [
    ("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.9}), ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True}), ("SGD", {"lr": 0.01, "maximize": True}),
    ("Adam", {}), ("Adam", {"lr": 0.01, "betas": [0.5, 0.9], "eps": 1e-3, "weight_decay": 0.1}), ("Adam", {"lr": 0.05, "amsgrad": True}), ("Adam", {"maximize": True}),
    ("AdamW", {}), ("AdamW", {"lr": 0.05, "amsgrad": True, "weight_decay": 0.2}),
    ("RMSprop", {}), ("RMSprop", {"lr": 0.02, "alpha": 0.9, "momentum": 0.9, "weight_decay": 0.1}), ("RMSprop", {"centered": True, "eps": 1e-4}), ("RMSprop", {"centered": True, "momentum": 0.5}),
    ("Adagrad", {}), ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}),
]


def compare_training(driver, name, options, dtype_name, n_steps=5, clip=None, scheduler=None, schedule=(), torch_schedule=None, metrics=None):
    dtype, tolerance = DTYPES[dtype_name], TOLERANCE[dtype_name]
    generator = torch.Generator().manual_seed(11)
    torch.manual_seed(11)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).to(dtype)
    x, y = draw((6, 3), dtype, generator), draw((6, 2), dtype, generator)
    request = {"what": "train", "optimizer": name, "options": options, "dtype": dtype_name, "state": encode_all(model.state_dict()), "x": encode(x), "y": encode(y), "steps": n_steps}
    if clip is not None:
        request["clip"] = clip
    if scheduler is not None:
        request |= {"scheduler": scheduler, "schedule": list(schedule), "metrics": metrics}
    answer = driver.ask(request)
    optimizer = getattr(torch.optim, name)(model.parameters(), **{key: tuple(value) if isinstance(value, list) else value for key, value in options.items()})
    plan = None if scheduler is None else getattr(torch.optim.lr_scheduler, scheduler)(optimizer, **torch_schedule)
    wrong = []
    for i in range(n_steps):
        optimizer.zero_grad()
        torch.nn.MSELoss()(model(x), y).backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        rate = optimizer.param_groups[0]["lr"]
        if abs(answer["rates"][i] - rate) > 1e-12 * max(1, abs(rate)):
            wrong.append(f"step {i + 1}: lr {answer['rates'][i]}, PyTorch's {rate}")
        if scheduler == "ReduceLROnPlateau":
            plan.step(metrics[i])
        elif plan is not None:
            plan.step()
        wrong += far_all(f"after step {i + 1}", answer["steps"][i], model.state_dict(), tolerance)
    return wrong


SCHEDULES = [
    ("StepLR", [2], {"step_size": 2}), ("StepLR", [3, 0.5], {"step_size": 3, "gamma": 0.5}), ("MultiStepLR", [[2, 3, 6], 0.3], {"milestones": [2, 3, 6], "gamma": 0.3}),
    ("ConstantLR", [0.5, 3], {"factor": 0.5, "total_iters": 3}), ("LinearLR", [], {}), ("LinearLR", [0.25, 0.75, 4], {"start_factor": 0.25, "end_factor": 0.75, "total_iters": 4}),
    ("ExponentialLR", [0.8], {"gamma": 0.8}), ("PolynomialLR", [6, 2.0], {"total_iters": 6, "power": 2.0}), ("CosineAnnealingLR", [5], {"T_max": 5}),
    ("CosineAnnealingLR", [4, 0.01], {"T_max": 4, "eta_min": 0.01}),
    ("ReduceLROnPlateau", ["min", {"patience": 1, "cooldown": 1}], {"mode": "min", "patience": 1, "cooldown": 1}),
    ("ReduceLROnPlateau", [{"mode": "max", "patience": 0, "factor": 0.5, "threshold_mode": "abs", "min_lr": 0.03}], {"mode": "max", "patience": 0, "factor": 0.5, "threshold_mode": "abs", "min_lr": 0.03}),
]
METRICS = [5.0, 4.0, 4.0, 4.5, 3.99999, 4.2, 4.1, 5.0]

# ---- torch.nn.init ----

INITS = [("uniform_", [], {}), ("uniform_", [-3, 2], {}), ("normal_", [], {}), ("normal_", [1.0, 0.5], {}), ("constant_", [0.75], {}), ("ones_", [], {}), ("zeros_", [], {}),
         ("xavier_uniform_", [], {}), ("xavier_uniform_", [2.0], {}), ("xavier_normal_", [], {}), ("kaiming_uniform_", [], {}),
         ("kaiming_uniform_", [], {"a": 2.0, "mode": "fan_out"}), ("kaiming_normal_", [], {"nonlinearity": "relu"}), ("kaiming_normal_", [], {"nonlinearity": "tanh"})]


def compare_orthogonal(driver, shape, gain):
    """Rows or columns, whichever are fewer, are orthonormal."""
    answer = driver.ask({"what": "init", "seed": 5, "name": "orthogonal_", "args": [gain], "options": {}, "shape": list(shape), "dtype": "float64"})
    matrix = numpy.array(answer["state"]["tensor"]["data"]).reshape(shape[0], -1) / gain
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    distance = numpy.abs(product - numpy.eye(len(product))).max()
    return [] if distance < 1e-10 else [f"{distance:.3g} away from orthonormal"]


def compare_init(driver, name, args, options, shape):
    torch.manual_seed(5)
    theirs = getattr(torch.nn.init, name)(torch.zeros(shape), *args, **options)
    answer = driver.ask({"what": "init", "seed": 5, "name": name, "args": args, "options": options, "shape": list(shape), "dtype": "float32"})
    return compare_filling(name, answer["state"], {"tensor": theirs})


def main():
    chosen = set(sys.argv[1:])
    is_chosen = lambda name: not chosen or name in chosen
    driver = Driver()
    n_compared, failures = 0, []

    def run(title, compare):
        nonlocal n_compared
        n_compared += 1
        try:
            wrong = compare()
        except Exception as error:  # what the driver threw is a failure of that case, not of all
            wrong = [str(error)]
        failures.extend(f"{title}: {text}" for text in wrong)

    for it in CASES:
        if not is_chosen(it["name"]):
            continue
        for dtype_name in DTYPES:
            for is_training in (True, False):
                title = f"{it['name']}{it['args']} {it['options']} {dtype_name} {'train' if is_training else 'eval'}"
                run(title, lambda: compare_module(driver, it, dtype_name, is_training))
    for it in LARGE:
        if is_chosen(it["name"]):
            run(f"new {it['name']}{it['args']}", lambda: compare_fresh(driver, it))
    for name, options in TRAININGS:
        for dtype_name in DTYPES:
            if is_chosen(name):
                run(f"{name} {options} {dtype_name}", lambda: compare_training(driver, name, options, dtype_name))
                if len(options) <= 1:
                    run(f"{name} {options} {dtype_name} clipped", lambda: compare_training(driver, name, options, dtype_name, clip=0.05))
    for name, schedule, torch_schedule in SCHEDULES:
        if is_chosen(name):
            run(f"{name} {torch_schedule}", lambda: compare_training(driver, "SGD", {"lr": 0.1}, "float64", len(METRICS), None, name, schedule, torch_schedule, METRICS))
    for name, args, options in INITS:
        for shape in ((300, 200), (40, 30, 5)):
            if is_chosen(name):
                run(f"init.{name}{args} {options} {shape}", lambda: compare_init(driver, name, args, options, shape))
    for shape in ((5, 5), (7, 4), (4, 3, 5), (1, 6)):
        if is_chosen("orthogonal_"):
            run(f"init.orthogonal_ {shape}", lambda: compare_orthogonal(driver, shape, 2.0))
    driver.close()
    for text in failures:
        print(text)
    print(f"{n_compared} comparisons of modules and optimisers with PyTorch {torch.__version__}, {len(failures)} differences")
    return 1 if failures or n_compared == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
