"""Data sets, trained weights and the likelihood's integration, which all frameworks share."""
import json
import math
import pathlib
import struct

import numpy as np
from scipy import integrate

TRAINED = pathlib.Path(__file__).resolve().parents[2] / "parity" / "trained_circle_f32.safetensors"


def triangles(n=1024):
    """(a/l, b/l, c/l, l) of random triangles with sides a <= b <= c < 1 and l their sum, standardized."""
    sides = np.sort(np.random.default_rng(42).random((4 * n, 3)), axis=1)
    sides = sides[sides[:, 0] + sides[:, 1] > sides[:, 2]][:n]
    length = sides.sum(1, keepdims=True)
    features = np.hstack([sides / length, length])
    return ((features - features.mean(0)) / features.std(0)).astype(np.float32)


def half_rings(n=2048, noise=0.02):
    """The upper half of a circle of radius 1.4 and the lower half of one of radius 0.5, with noise."""
    angle = np.linspace(0, np.pi, n // 2)
    big = np.stack([1.4 * np.cos(angle) + 0.6, 1.4 * np.sin(angle) + 0.2], 1)
    small = np.stack([-0.5 * np.cos(angle) - 0.5, -0.5 * np.sin(angle) - 1.0], 1)
    points = np.concatenate([big, small])
    return (points + np.random.default_rng(0).normal(scale=noise, size=points.shape)).astype(np.float32)


def circle(n):
    angle = np.random.default_rng(9).uniform(0, 2 * np.pi, n)
    return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)


def grid(n=75, limit=1.5):
    """The points of an n x n grid on [-limit, limit]^2, [n^2, 2]."""
    axis = np.linspace(-limit, limit, n)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)


def safetensors(path):
    """The arrays of a safetensors file, by name."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    types, arrays = {"F32": "<f4", "F64": "<f8", "I32": "<i4"}, {}
    for name, entry in json.loads(content[8 : 8 + length]).items():
        if name != "__metadata__":
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            arrays[name] = np.frombuffer(content[start:end], types[entry["dtype"]]).reshape(entry["shape"])
    return arrays


def trained_circle():
    """The trained weights of the circle's network, by PyTorch's names; a Linear's are [out, in]."""
    return {name[2:]: array for name, array in safetensors(TRAINED).items() if name.startswith("w/")}


def log_likelihood(score_and_trace, points, start=0.15, end=1.0):
    """Log densities at time `start` under dX = dW, by the probability flow with RK45, and how often its right-hand side
    was evaluated. All points are one system: the control of the step looks at all of them.

    score_and_trace takes points in float32, [B, 2], and a time, and gives the score [B, 2] and its divergence [B].
    """
    size = len(points)

    def flow(t, state):
        score, trace = score_and_trace(state[: 2 * size].reshape(size, 2).astype(np.float32), t)
        return -0.5 * np.concatenate([score.ravel(), trace]).astype(np.float64)

    state = np.concatenate([points.ravel(), np.zeros(size)])
    solution = integrate.solve_ivp(flow, (start, end), state, rtol=1e-5, atol=1e-5, method="RK45")
    x, change = solution.y[: 2 * size, -1].reshape(size, 2), solution.y[2 * size :, -1]
    return change - math.log(2 * math.pi * end) - (x**2).sum(1) / (2 * end), int(solution.nfev)
