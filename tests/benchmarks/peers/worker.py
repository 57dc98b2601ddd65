"""What a worker is, whatever framework it times.

It reads requests from its input, one a line: the name of a workload and, of a training step, sizes other than its own,
"W1 batch=41 width=230". It answers each with one line of JSON: the milliseconds that a unit of work took over one block
of units, or an error. The first such request builds the workload, compiles it and warms it up before the block is
timed. Between requests a worker waits for input and does nothing else.
"""
import argparse
import json
import os
import resource
import statistics
import sys
import time

BLOCK = 0.3  # seconds that a block aims at; a unit that takes longer is a block of its own


class Workload:
    """`run(n)` does n units of work and returns when they are done; the number that it returns, if any, is how many
    evaluations one unit took, and times are then given per evaluation. `checksum()`, if any, is of a unit's results."""

    def __init__(self, run, checksum=None):
        self.run, self.checksum = run, checksum
        run(1)  # compiles
        times = [self.seconds(1)]
        while sum(times) < BLOCK:
            times.append(self.seconds(1))
        self.units = max(1, round(BLOCK / statistics.median(times)))

    def seconds(self, units):
        start = time.perf_counter()
        self.evaluations = self.run(units)
        return time.perf_counter() - start

    def block(self):
        seconds = self.seconds(self.units)
        row = {"milliseconds": 1e3 * seconds / (self.units * (self.evaluations or 1)), "units": self.units}
        row |= {"evaluations": self.evaluations} if self.evaluations else {}
        return row | ({"checksum": self.checksum()} if self.checksum else {})


def options(modes):
    """The options of a worker. To be called before the framework is imported: many look at the processors that they
    may use, and at their environment, while they are loaded."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--mode", choices=modes, default=modes[0])
    chosen = parser.parse_args()
    allowed = sorted(os.sched_getaffinity(0))
    if not 1 <= chosen.threads <= len(allowed):
        parser.error(f"--threads must be from 1 to {len(allowed)}, the processors at hand")
    os.sched_setaffinity(0, allowed[: chosen.threads])
    for library in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{library}_NUM_THREADS"] = str(chosen.threads)
    return chosen


def serve(chosen, makers):
    """Answers requests; `makers` has, for every workload, a function that returns what Workload takes: one thing, or a
    tuple."""
    # Libraries that print would spoil the answers: from here on their output is an error's.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    built = {}
    for line in sys.stdin:
        request = line.strip()
        if not request:
            continue
        row = {"workload": request, "mode": chosen.mode, "threads": chosen.threads}
        try:
            name, *sizes = request.split()
            if name not in makers:
                raise LookupError("no such workload in this framework")
            if request not in built:
                made = makers[name](**{key: int(value) for key, value in (size.split("=") for size in sizes)})
                built[request] = Workload(*made) if isinstance(made, tuple) else Workload(made)
            row |= built[request].block()
            row["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        except Exception as error:  # what one framework cannot do must not end the others
            message = (str(error).strip() or "no message").splitlines()[0]
            row["error"] = f"{type(error).__name__}: {message}"[:300]
        print(json.dumps(row), file=answers, flush=True)
