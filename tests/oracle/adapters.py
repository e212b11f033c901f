"""How PyTorch is asked where a row is no single function of its: one step of an optimiser, whose state the row takes as arguments.

Each adapter takes the drawn values by parameter name, changes what the row changes, and answers what it answers.
"""

import torch


def state_like(values, name):
    """A state's tensor, which PyTorch makes itself and so never sees in another shape or dtype."""
    state, parameter = values[name], values["self"]
    if state is not None and (state.shape != parameter.shape or state.dtype != parameter.dtype):
        raise ValueError(f"{name} is not like the parameter")
    return state


def lies_over_itself(tensor):
    return any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape)) and tensor.numel() > 0


def take_step(values, make, state, is_given):
    """One step of the optimiser that `make` makes of the parameter, from the state that `state(count)` tells."""
    parameter, step, grad = values["self"].detach(), values["step"], values["grad"]
    if step.dim() != 0 or step.dtype not in (torch.float32, torch.float64, torch.int64):
        raise ValueError("step is no count")
    if not parameter.is_floating_point():
        raise ValueError("the parameter is no float")
    for needed, name in is_given:
        if needed and values[name] is None:
            raise ValueError(f"{name} is missing")
    if any(isinstance(value, torch.Tensor) and name != "grad" and lies_over_itself(value) for name, value in values.items()):
        raise ValueError("what is written lies over itself")
    optimizer = make([parameter])
    if grad is None:
        return parameter
    state_like(values, "grad")
    parameter.grad = grad.detach()
    optimizer.state[parameter] = state(step.item())
    optimizer.step()
    step += 1
    return parameter


def options(values, *names):
    return {name: values[name] for name in names}


def sgd(values):
    buffer = state_like(values, "momentum_buffer")
    kept = {}

    def state(count):
        kept["momentum_buffer"] = None if count == 0 else buffer
        return kept
    make = lambda params: torch.optim.SGD(params, **options(values, "lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize"))
    answer = take_step(values, make, state, [(values["momentum"] != 0, "momentum_buffer")])
    if kept.get("momentum_buffer") is not None and kept["momentum_buffer"] is not buffer:
        buffer.copy_(kept["momentum_buffer"])
    return answer


def adam(kind, values):
    names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    states = {name: state_like(values, name) for name in names}
    make = lambda params: kind(params, betas=(values["beta1"], values["beta2"]), **options(values, "lr", "eps", "weight_decay", "amsgrad", "maximize"))
    return take_step(values, make, lambda count: {"step": torch.tensor(float(count)), **states}, [(values["amsgrad"], "max_exp_avg_sq")])


def rmsprop(values):
    names = ("square_avg", "momentum_buffer", "grad_avg")
    states = {name: state_like(values, name) for name in names}
    make = lambda params: torch.optim.RMSprop(params, **options(values, "lr", "alpha", "eps", "weight_decay", "momentum", "centered", "maximize"))
    return take_step(values, make, lambda count: {"step": count, **states}, [(values["momentum"] != 0, "momentum_buffer"), (values["centered"], "grad_avg")])


def adagrad(values):
    total = state_like(values, "state_sum")
    make = lambda params: torch.optim.Adagrad(params, **options(values, "lr", "lr_decay", "weight_decay", "eps", "maximize"))
    return take_step(values, make, lambda count: {"step": torch.tensor(float(count)), "sum": total}, [])


ADAPTERS = {
    "sgd_step_": sgd,
    "adam_step_": lambda values: adam(torch.optim.Adam, values),
    "adamw_step_": lambda values: adam(torch.optim.AdamW, values),
    "rmsprop_step_": rmsprop,
    "adagrad_step_": adagrad,
}
