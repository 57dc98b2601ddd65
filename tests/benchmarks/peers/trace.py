"""The workload of bench_trace.cpp in PyTorch: the trace of a score's Jacobian by vmap(jacrev) and by a loop of VJPs.

usage: python3 trace.py [--threads N] [--rounds N]
"""
import argparse
import statistics
import time

import torch
from torch.func import functional_call, jacrev, vmap

BATCH = 1024


def network(d):
    widths, layers = [d, 128, 128, 128, 128], []
    for fan_in, fan_out in zip(widths, widths[1:]):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.SiLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(128, d))


def loop_of_vjps(net, x, create_graph=False):
    x = x.detach().requires_grad_(True)
    y, trace = net(x), 0
    for i in range(x.shape[1]):
        last = i == x.shape[1] - 1
        (g,) = torch.autograd.grad(y[:, i].sum(), x, retain_graph=create_graph or not last, create_graph=create_graph)
        trace = trace + g[:, i]
    return y, trace


def measure(d, rounds):
    torch.manual_seed(1)
    net, x = network(d), torch.randn(BATCH, d)
    parameters = dict(net.named_parameters())

    def row(weights, point):
        return functional_call(net, weights, (point[None],))[0]

    def by_jacrev(weights):
        return vmap(jacrev(lambda p: row(weights, p)))(x).diagonal(dim1=1, dim2=2).sum(1)

    def forward():
        with torch.no_grad():
            net(x)

    def jacrev_values():
        with torch.no_grad():
            net(x)
            by_jacrev(parameters)

    tasks = {
        "forward": forward,
        "value and trace, vmap(jacrev)": jacrev_values,
        "value and trace, loop of VJPs": lambda: loop_of_vjps(net, x),
        "gradient of mean trace, vmap(jacrev)": lambda: torch.autograd.grad(by_jacrev(parameters).mean(), list(parameters.values()), allow_unused=True),
        "gradient of mean trace, loop of VJPs": lambda: torch.autograd.grad(loop_of_vjps(net, x, True)[1].mean(), list(parameters.values()), allow_unused=True),
    }
    times = {name: [] for name in tasks}
    for i in range(-2, rounds):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if i >= 0:
                times[name].append(time.perf_counter() - start)
    unit = statistics.median(times["forward"])
    for name, all_times in times.items():
        median = statistics.median(all_times)
        print(f"{d:2}  {name:38} {median * 1e3:8.3f} ms  {median / unit:6.2f} of forward")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"PyTorch {torch.__version__}, {options.threads} threads, medians of {options.rounds}")
    for d in (2, 4, 8, 16):
        measure(d, options.rounds)


if __name__ == "__main__":
    main()
