"""Trains a network with PyTorch on one thread, as asked by lines of stdin; training.c says what they are."""
import sys
import time

import numpy
import torch
from torch import nn
from torch.nn.functional import cross_entropy

torch.set_num_threads(1)
LEARNING_RATE = 0.1

NETWORKS = {
    'mlp': lambda: nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)),
    'lenet': lambda: nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
}


class Trainer:
    def __init__(self, model, path, *sizes):
        self.network = NETWORKS[model]()
        shape = [int(size) for size in sizes]
        with open(path, 'rb') as file:
            def read(dtype, sizes):
                values = numpy.fromfile(file, dtype, count=int(numpy.prod(sizes)))
                return torch.from_numpy(values.reshape(sizes))
            self.initial = [read(numpy.float32, list(parameter.shape)) for parameter in self.network.parameters()]
            self.input = read(numpy.float32, shape)
            self.labels = read(numpy.int64, shape[:1])
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=LEARNING_RATE)

    def begin_anew(self):
        with torch.no_grad():
            for parameter, values in zip(self.network.parameters(), self.initial):
                parameter.copy_(values)

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(self.network(self.input), self.labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def sample(self, n_steps):
        self.step()
        self.begin_anew()
        begins = time.perf_counter()
        losses = [self.step() for _ in range(n_steps)]
        values = [loss.item() for loss in losses]
        return (time.perf_counter() - begins) * 1e3, values


trainer = None
for line in sys.stdin:
    verb, *rest = line.split()
    try:
        if verb == 'prepare':
            trainer = Trainer(*rest)
            print('ready', flush=True)
        else:
            ms, values = trainer.sample(int(rest[0]))
            print(ms, *values, flush=True)
    except Exception as error:  # what went wrong is the answer
        print('error', str(error).split('\n')[0], flush=True)
