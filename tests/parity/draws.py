"""Write draws.safetensors: the layout of random draws (autodiff/random.hpp), computed here from the page alone.

usage: python3 draws.py [OUTPUT_FOLDER]

Philox4x32-10 as published (Salmon et al., SC 2011); seed 11 + 2^32 * 3, step 4, stream 0, rows 2 and 3 of [.., 5] arrays.
"""
import math
import pathlib
import sys

import numpy as np

from convert import write

SEED, STEP, STREAM, ROWS, N = 11 + (3 << 32), 4, 0, (2, 3), 5


def block(row, number):
    c, k = [row, number, STEP, STREAM], [SEED & 0xFFFFFFFF, SEED >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def u32(word):
    return ((word >> 9) + 0.5) / 2**23


def word64(row, e):
    w = block(row, e // 2)
    return w[2 * (e % 2)] | w[2 * (e % 2) + 1] << 32


def u64(row, e):
    return ((word64(row, e) >> 12) + 0.5) / 2**52


def uniform(bits, row, e):
    return u32(block(row, e // 4)[e % 4]) if bits == 32 else u64(row, e)


def normal(bits, row, e):
    p = e // 2
    if bits == 32:
        w = block(row, p // 2)
        u, v = (w[2 * (p % 2)] + 0.5) / 2**32, (w[2 * (p % 2) + 1] + 0.5) / 2**32
    else:
        u, v = u64(row, 2 * p), u64(row, 2 * p + 1)
    return math.sqrt(-2 * math.log(u)) * (math.cos if e % 2 == 0 else math.sin)(2 * math.pi * v)


def gamma(bits, row, e, a):
    d = (a + 1 if a < 1 else a) - 1 / 3
    c = 1 / math.sqrt(9 * d)
    attempt = 0
    while True:
        number = attempt * N + e
        if bits == 32:
            w = block(row, number)
            u1, u2, u, power = (w[0] + 0.5) / 2**32, (w[1] + 0.5) / 2**32, u32(w[2]), u32(w[3])
        else:
            u1, u2, u, power = (u64(row, 4 * number + i) for i in range(4))
        x = math.sqrt(-2 * math.log(u1)) * math.cos(2 * math.pi * u2)
        v = (1 + c * x) ** 3
        if v > 0 and math.log(u) < 0.5 * x * x + d - d * v + d * math.log(v):
            return d * v * (power ** (1 / a) if a < 1 else 1)
        attempt += 1


def main():
    arrays = {}

    def put(name, dtype, f):
        arrays[name] = np.array([[f(row, e) for e in range(N)] for row in ROWS], dtype)

    for bits in (32, 64):
        dtype = f"float{bits}"
        put(f"uniform/f{bits}", dtype, lambda r, e: uniform(bits, r, e))
        put(f"normal/f{bits}", dtype, lambda r, e: normal(bits, r, e))
        for a in (200, 0.4):
            put(f"gamma{a}/f{bits}", dtype, lambda r, e: gamma(bits, r, e, a))
        put(f"index/f{bits}", "int32", lambda r, e: word64(r, e) * 7 >> 64)
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    write(target / "draws.safetensors", arrays)


if __name__ == "__main__":
    main()
