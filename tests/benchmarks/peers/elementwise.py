"""The rows of bench_elementwise.cpp in PyTorch, eager: microseconds an op.

usage: python3 elementwise.py [--threads N...] [--rounds N] [--only NAME...] [--beside PROGRAM]

With PROGRAM, the path of bench_elementwise, both take turns and a row has both and their ratio, PyTorch / ours: above 1
ours is faster. The least ratios are listed again.
"""
import argparse
import re
import statistics
import subprocess
import time

import torch
from torch.nn import functional

# name: what bench_elementwise computes of arrays x, y in [low, high)
FUNCTIONS = {
    "add": (-3, 3, lambda x, y: x + y),
    "multiply": (-3, 3, lambda x, y: x * y),
    "divide": (0.5, 3, lambda x, y: x / y),
    "maximum": (-3, 3, lambda x, y: torch.maximum(x, y)),
    "less": (-3, 3, lambda x, y: x < y),
    "multiply by 2": (-3, 3, lambda x, y: x * 2),
    "abs": (-3, 3, lambda x, y: torch.abs(x)),
    "square": (-3, 3, lambda x, y: torch.square(x)),
    "sqrt": (0.1, 3, lambda x, y: torch.sqrt(x)),
    "rsqrt": (0.1, 3, lambda x, y: torch.rsqrt(x)),
    "reciprocal": (0.1, 3, lambda x, y: torch.reciprocal(x)),
    "exp": (-5, 5, lambda x, y: torch.exp(x)),
    "exp2": (-5, 5, lambda x, y: torch.exp2(x)),
    "expm1": (-5, 5, lambda x, y: torch.expm1(x)),
    "log": (0.01, 100, lambda x, y: torch.log(x)),
    "log2": (0.01, 100, lambda x, y: torch.log2(x)),
    "log10": (0.01, 100, lambda x, y: torch.log10(x)),
    "log1p": (-0.9, 10, lambda x, y: torch.log1p(x)),
    "pow": (0.1, 3, lambda x, y: torch.pow(x, y)),
    "pow 3": (0.1, 3, lambda x, y: torch.pow(x, 3)),
    "pow 1.7": (0.1, 3, lambda x, y: torch.pow(x, 1.7)),
    "sin": (-10, 10, lambda x, y: torch.sin(x)),
    "cos": (-10, 10, lambda x, y: torch.cos(x)),
    "tan": (-10, 10, lambda x, y: torch.tan(x)),
    "asin": (-1, 1, lambda x, y: torch.asin(x)),
    "acos": (-1, 1, lambda x, y: torch.acos(x)),
    "atan": (-10, 10, lambda x, y: torch.atan(x)),
    "atan2": (-3, 3, lambda x, y: torch.atan2(x, y)),
    "hypot": (-3, 3, lambda x, y: torch.hypot(x, y)),
    "sinh": (-5, 5, lambda x, y: torch.sinh(x)),
    "cosh": (-5, 5, lambda x, y: torch.cosh(x)),
    "tanh": (-5, 5, lambda x, y: torch.tanh(x)),
    "asinh": (-5, 5, lambda x, y: torch.asinh(x)),
    "acosh": (1, 10, lambda x, y: torch.acosh(x)),
    "atanh": (-1, 1, lambda x, y: torch.atanh(x)),
    "erf": (-3, 3, lambda x, y: torch.erf(x)),
    "erfc": (-3, 3, lambda x, y: torch.erfc(x)),
    "erfinv": (-1, 1, lambda x, y: torch.erfinv(x)),
    "lgamma": (0.1, 10, lambda x, y: torch.lgamma(x)),
    "digamma": (0.1, 10, lambda x, y: torch.digamma(x)),
    "logaddexp": (-5, 5, lambda x, y: torch.logaddexp(x, y)),
    "sigmoid": (-5, 5, lambda x, y: torch.sigmoid(x)),
    "log_sigmoid": (-5, 5, lambda x, y: functional.logsigmoid(x)),
    "relu": (-3, 3, lambda x, y: torch.relu(x)),
    "leaky_relu": (-3, 3, lambda x, y: functional.leaky_relu(x)),
    "elu": (-5, 5, lambda x, y: functional.elu(x)),
    "silu": (-5, 5, lambda x, y: functional.silu(x)),
    "softplus": (-5, 5, lambda x, y: functional.softplus(x)),
    "gelu": (-5, 5, lambda x, y: functional.gelu(x)),
    "gelu_tanh": (-5, 5, lambda x, y: functional.gelu(x, approximate="tanh")),
    "mish": (-5, 5, lambda x, y: functional.mish(x)),
    "sum": (-3, 3, lambda x, y: torch.sum(x)),
    "mean": (-3, 3, lambda x, y: torch.mean(x)),
    "max": (-3, 3, lambda x, y: torch.max(x)),
    "cumsum": (-3, 3, lambda x, y: torch.cumsum(x, 0)),
    "cast": (-3, 3, lambda x, y: x.to(torch.float64 if x.dtype == torch.float32 else torch.float32)),
    "sum of 100": (-3, 3, lambda x, y: x.reshape(-1, 100).sum(1)),
    "max of 100": (-3, 3, lambda x, y: x.reshape(-1, 100).amax(1)),
    "logsumexp of 100": (-3, 3, lambda x, y: x.reshape(-1, 100).logsumexp(1)),
    "softmax of 100": (-3, 3, lambda x, y: x.reshape(-1, 100).softmax(1)),
    "cumsum of 100": (-3, 3, lambda x, y: x.reshape(-1, 100).cumsum(1)),
    "sum of 10": (-3, 3, lambda x, y: x.reshape(-1, 10).sum(1)),
    "max of 10": (-3, 3, lambda x, y: x.reshape(-1, 10).amax(1)),
    "logsumexp of 10": (-3, 3, lambda x, y: x.reshape(-1, 10).logsumexp(1)),
    "softmax of 10": (-3, 3, lambda x, y: x.reshape(-1, 10).softmax(1)),
}
DTYPES = {"f32": torch.float32, "f64": torch.float64}
ROW = re.compile(r"(.*?) +(f32|f64) +(\d+) elements +(\d+) threads +([\d.]+) us")


def microseconds(f, x, y):
    """Of a call, over calls of half a millisecond, after one that is not timed."""
    f(x, y)
    start, calls, passed = time.perf_counter(), 0, 0.0
    while passed < 500e-6:
        f(x, y)
        calls += 1
        passed = time.perf_counter() - start
    return passed / calls * 1e6


def measure(names, teams, rounds):
    """{(name, dtype, elements, threads): median}"""
    times = {}
    for _ in range(rounds):
        for name in names:
            low, high, f = FUNCTIONS[name]
            for dtype in DTYPES:
                for elements in (1_000, 100_000, 4_000_000):
                    x, y = (torch.rand(elements, dtype=DTYPES[dtype]) * (high - low) + low for _ in range(2))
                    for threads in teams:
                        torch.set_num_threads(threads)
                        times.setdefault((name, dtype, elements, threads), []).append(microseconds(f, x, y))
    return {row: statistics.median(all_times) for row, all_times in times.items()}


def measure_ours(program, names, teams, rounds):
    command = [program, "--rounds", str(rounds), "--threads", *map(str, teams), "--only", *names]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = (ROW.fullmatch(line).groups() for line in text.splitlines())
    return {(name, dtype, int(elements), int(threads)): float(time) for name, dtype, elements, threads, time in rows}


def in_turns(program, names, teams, rounds):
    """[(ours, PyTorch's)], of one round each."""
    return [(measure_ours(program, names, teams, 1), measure(names, teams, 1)) for _ in range(rounds)]


def print_row(row, times):
    name, dtype, elements, threads = row
    print(f"{name:16} {dtype} {elements:8} elements {threads:2} threads {times}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=FUNCTIONS, default=list(FUNCTIONS))
    parser.add_argument("--beside", metavar="PROGRAM")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    with torch.no_grad():
        if options.beside is None:
            for row, time_ in measure(options.only, options.threads, options.rounds).items():
                print_row(row, f"{time_:10.2f} us")
            return
        both = in_turns(options.beside, options.only, options.threads, options.rounds)
    medians = {row: [statistics.median(turn[side][row] for turn in both) for side in (0, 1)] for row in both[0][0]}
    ratios = {row: peer / ours for row, (ours, peer) in medians.items()}
    for row, (ours, peer) in medians.items():
        print_row(row, f"{ours:10.2f} us, PyTorch {peer:10.2f}, ratio {ratios[row]:5.2f}")
    print("\nratios below .9:")
    for row in sorted(ratios, key=ratios.get):
        if ratios[row] < 0.9:
            print_row(row, f"ratio {ratios[row]:5.2f}")


if __name__ == "__main__":
    main()
