"""The graphs of bench_compile.cpp in JAX: the seconds of a first call, which traces and compiles.

usage: python3 compile.py [--nodes N]       N as in bench_compile: of ours; JAX's are of the same lengths
"""
import argparse
import time

import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)


def lstm(xs, w):
    width = w.shape[1] // 4
    h = c = jnp.zeros((xs.shape[1], width))
    for x in xs:
        i, f, g, o = jnp.split(jnp.concatenate([x, h], 1) @ w, 4, 1)
        c = jax.nn.sigmoid(i) * c + jax.nn.sigmoid(f) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return jnp.mean(h**2)


def lorenz(x0, theta, steps, dt=0.01):
    def slope(s):
        return [theta[0] * (s[1] - s[0]), s[0] * (theta[1] - s[2]) - s[1], s[0] * s[1] - theta[2] * s[2]]

    def moved(s, by, h):
        return [x + h * d for x, d in zip(s, by)]

    s = [x0[0], x0[1], x0[2]]
    for _ in range(steps):
        a = slope(s)
        b = slope(moved(s, a, dt / 2))
        c = slope(moved(s, b, dt / 2))
        d = slope(moved(s, c, dt))
        s = [x + dt / 6 * (p + 2 * q + 2 * r + t) for x, p, q, r, t in zip(s, a, b, c, d)]
    return s[0] + s[1] + s[2]


def network(x, ws):
    for w in ws:
        x = x + jnp.tanh(x @ w)
    return jnp.mean(x**2)


def first_call(family, steps):
    if family == "LSTM, gradient":
        f, args = jax.grad(lstm, 1), (jnp.ones((steps, 4, 8)), jnp.ones((24, 64)))
    elif family == "Lorenz by RK4 in scalars, gradient":
        f, args = jax.grad(lambda x, t: lorenz(x, t, steps), (0, 1)), (jnp.ones(3), jnp.ones(3))
    else:
        f, args = jax.grad(network, 1), (jnp.ones((512, 16), jnp.float32), jnp.ones((steps, 16, 16), jnp.float32))
    start = time.perf_counter()
    jax.block_until_ready(jax.jit(f)(*args))
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=3000)
    nodes = parser.parse_args().nodes
    per_step = {"LSTM, gradient": 45, "Lorenz by RK4 in scalars, gradient": 256, "residual network, gradient": 13}
    jax.block_until_ready(jax.jit(jnp.tanh)(jnp.ones(3)))  # what the first call of all sets up
    for family, count in per_step.items():
        print(family)
        steps = 16
        while True:
            print(f"  {steps:6} {first_call(family, steps):10.4f} s", flush=True)
            if steps * count >= nodes:
                break
            steps *= 2


if __name__ == "__main__":
    main()
