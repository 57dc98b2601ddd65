"""Write triangles.safetensors: the data of the study `triangles` as NumPy draws it, its classes, and what NumPy's streams begin with.

usage: python3 triangles.py DATA_NPZ [OUTPUT_FOLDER]

DATA_NPZ has the rows of seed 42 (`triangles`) and three lengths that are often no sides of a triangle (`odd_sides`),
each with its classes. Classes are numbers here, in the order of experiments/triangles/data.hpp.
"""
import pathlib
import sys

import numpy as np

from convert import write

SIDES, ANGLES = ["equilateral", "isosceles", "scalene"], ["acute", "right", "obtuse"]
SIDE_WEIGHTS, ANGLE_WEIGHTS = np.array([0, 0.05, 0.95]), np.array([0.9, 0, 0.1])


def side_class(sides):
    s = np.sort(sides, axis=1)
    equal = [np.isclose(s[:, i], s[:, i + 1], atol=1e-3) for i in (0, 1)]
    return np.where(equal[0] & equal[1], 0, np.where(equal[0] | equal[1], 1, 2)).astype(np.int32)


def angle_class(sides):
    a, b, c = np.sort(sides, axis=1).T
    cosines = [(q**2 + r**2 - p**2) / (2 * q * r) for p, q, r in ((a, b, c), (b, a, c), (c, a, b))]
    largest = np.degrees(np.arccos(np.clip(np.stack(cosines, 1), -1, 1))).max(1)
    return np.where(np.isclose(largest, 90, atol=0.1), 1, np.where(largest < 90, 0, 2)).astype(np.int32)


def triangles(seed, n=1024):
    sides = np.sort(np.random.default_rng(seed).random((30 * n, 3)), axis=1)
    pool = sides[sides[:, 0] + sides[:, 1] > sides[:, 2]][: 6 * n]
    p = SIDE_WEIGHTS[side_class(pool)] * ANGLE_WEIGHTS[angle_class(pool)]
    chosen = np.random.default_rng(seed).choice(6 * n, size=n, replace=False, p=p / p.sum())
    return pool[chosen][np.random.RandomState(seed).permutation(n)]


def main():
    given = np.load(sys.argv[1])
    assert np.array_equal(given["triangles"], triangles(42))
    arrays = {}
    for seed in (42, 7, 2026):
        sides = given["triangles"] if seed == 42 else triangles(seed)
        arrays |= {f"{seed}/sides": sides, f"{seed}/side_class": side_class(sides), f"{seed}/angle_class": angle_class(sides)}
    for name, kind, classes in (("side_class", "side_type", SIDES), ("angle_class", "angle_type", ANGLES)):
        assert [classes[i] for i in arrays["42/" + name]] == list(given[kind])
        arrays["odd/" + name] = np.array([classes.index(each) for each in given["odd_" + kind]], np.int32)
    arrays |= {"odd/sides": given["odd_sides"], "odd/valid": given["odd_valid"].astype(np.int32)}
    arrays |= {"42/features_mean": given["features_mean"], "42/features_sd": given["features_std"]}
    write(pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parent) / "triangles.safetensors", arrays)


if __name__ == "__main__":
    main()
