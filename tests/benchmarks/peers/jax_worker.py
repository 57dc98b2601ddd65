"""The workloads in JAX, as a worker: a training step or a whole sampler is one jitted function.

usage: jax_worker.py --threads N

Adam and AdamW are written out, so that JAX alone is enough.
"""
import math
import os
from functools import partial

import worker

chosen = worker.options(["jax_jit"])
if chosen.threads == 1:  # XLA otherwise takes as many threads as it may use processors
    os.environ["XLA_FLAGS"] = (os.environ.get("XLA_FLAGS", "") +
                               " --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax  # noqa: E402: only now that the environment is set
import jax.numpy as jnp
from jax import lax, random

import classic_jax
import data

# Networks: each maker returns (parameters, function of parameters, points [B, d] and times [B]).


def linear(key, fan_in, fan_out):
    """PyTorch's initialization of nn.Linear."""
    a, b = random.split(key)
    r = 1 / math.sqrt(fan_in)
    return {"w": random.uniform(a, (fan_in, fan_out), minval=-r, maxval=r),
            "b": random.uniform(b, (fan_out,), minval=-r, maxval=r)}


def dense(p, x):
    return x @ p["w"] + p["b"]


def mlp(key, widths):
    return [linear(k, a, b) for k, a, b in zip(random.split(key, len(widths)), widths, widths[1:])]


def apply_mlp(layers, x, activation):
    for p in layers[:-1]:
        x = activation(dense(p, x))
    return dense(layers[-1], x)


def embedded_mlp(key, d, layers, hidden, embedding):
    """A ReLU MLP on [x, sinusoidal embedding of t]: triangles and rings."""
    frequencies = jnp.exp(jnp.linspace(0.0, math.log(1000.0), embedding // 2))

    def net(p, x, t):
        angle = t[:, None] * frequencies
        return apply_mlp(p, jnp.concatenate([x, jnp.sin(angle), jnp.cos(angle)], 1), jax.nn.relu)

    return mlp(key, [d + embedding] + [hidden] * layers + [d]), net


def time_mlp(key, widths, activation):
    """An MLP on [x, t]: the nano ring and the heat kernel."""
    return mlp(key, widths), lambda p, x, t: apply_mlp(p, jnp.concatenate([x, t[:, None]], 1), activation)


def circle_net(key, width=128, trained=None):
    """The circle's SiLU MLP with Fourier features and a LayerNorm, divided by the standard deviation sqrt(t)."""
    k = random.split(key, 8)
    frequencies = random.normal(k[0], (width // 2,)) * 16.0
    p = {"time": [linear(k[1], width, width), linear(k[2], width, width)], "in": linear(k[3], 2 + width, width),
         "hidden": [linear(k[4 + i], width, width) for i in range(3)],
         "scale": jnp.ones(width), "shift": jnp.zeros(width), "out": linear(k[7], width, 2)}
    if trained is not None:
        def layer(name):
            return {"w": jnp.asarray(trained[f"{name}.weight"].T), "b": jnp.asarray(trained[f"{name}.bias"])}
        frequencies = jnp.asarray(trained["time_embed.0.freqs"])
        p = {"time": [layer("time_embed.1"), layer("time_embed.3")], "in": layer("input_proj"),
             "hidden": [layer(f"hidden.{i}") for i in (0, 2, 4)], "scale": jnp.asarray(trained["hidden.5.weight"]),
             "shift": jnp.asarray(trained["hidden.5.bias"]), "out": layer("output")}

    def net(p, x, t):
        silu = jax.nn.silu
        angle = t[:, None] * (2 * math.pi * frequencies)
        time = silu(dense(p["time"][0], jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], 1)))
        time = silu(dense(p["time"][1], time))
        h = dense(p["in"], jnp.concatenate([x, time], 1))
        h = silu(dense(p["hidden"][0], h))
        h = silu(dense(p["hidden"][1], h))
        h = dense(p["hidden"][2], h)
        mean = h.mean(1, keepdims=True)
        variance = ((h - mean) ** 2).mean(1, keepdims=True)
        h = silu((h - mean) / jnp.sqrt(variance + 1e-5) * p["scale"] + p["shift"])
        return dense(p["out"], h) / jnp.sqrt(t)[:, None]

    return p, net


def heat_embedded_net(key, hidden=8, embedding=256):
    """The heat kernel's network with 256 Fourier features of time."""
    k = random.split(key, 4)
    frequencies = random.normal(k[0], (embedding // 2,)) * 30.0
    p = {"time": linear(k[1], embedding, hidden), "point": linear(k[2], 1, hidden), "out": linear(k[3], hidden, 1)}

    def net(p, x, t):
        angle = t[:, None] * (2 * math.pi * frequencies)
        time = jax.nn.silu(dense(p["time"], jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], 1)))
        return dense(p["out"], jax.nn.silu(dense(p["point"], x) + time))

    return p, net


# Training


def adam(p, g, state, lr, weight_decay, b1=0.9, b2=0.999, epsilon=1e-8):
    tree_map, k = jax.tree_util.tree_map, state["k"] + 1
    m = tree_map(lambda a, b: b1 * a + (1 - b1) * b, state["m"], g)
    v = tree_map(lambda a, b: b2 * a + (1 - b2) * b * b, state["v"], g)
    c1, c2 = 1 - b1 ** k.astype(jnp.float32), 1 - b2 ** k.astype(jnp.float32)
    p = tree_map(lambda w, a, b: w * (1 - lr * weight_decay) - lr * (a / c1) / (jnp.sqrt(b / c2) + epsilon), p, m, v)
    return p, {"m": m, "v": v, "k": k}


def training(p, loss, draw, lr=1e-3, weight_decay=0.0, average=None):
    """Steps: draw a batch, loss, gradient, Adam and, with a decay `average`, the moving average of the parameters."""
    tree_map = jax.tree_util.tree_map

    @jax.jit
    def step(p, state, mean, key):
        key, sub = random.split(key)
        p, state = adam(p, jax.grad(loss)(p, *draw(sub)), state, lr, weight_decay)
        if average is not None:
            mean = tree_map(lambda a, b: average * a + (1 - average) * b, mean, p)
        return p, state, mean, key

    zeros = tree_map(jnp.zeros_like, p)
    carried = [p, {"m": zeros, "v": zeros, "k": jnp.zeros((), jnp.int32)}, p if average is not None else 0.0,
               random.PRNGKey(1)]

    def run(units):
        for _ in range(units):
            carried[:] = step(*carried)
        jax.block_until_ready(carried)

    return run


def ou_std(t, theta, sigma):
    return jnp.sqrt(sigma**2 * (1 - jnp.exp(-2 * theta * t)) / (2 * theta))


def ou_weighted_loss(net, theta, sigma):
    """mean(w (score - net)^2) with w the variance over its mean in the batch."""
    def loss(p, x0, t, z):
        mean, std = jnp.exp(-theta * t)[:, None], ou_std(t, theta, sigma)[:, None]
        xt = mean * x0 + std * z
        score = -(xt - mean * x0) / (std**2 + 1e-9)
        weight = jnp.maximum(jnp.broadcast_to(std**2, x0.shape), 1e-6)
        weight = weight / (weight.mean() + 1e-6)
        return (weight * (score - net(p, xt, t)) ** 2).mean()

    return loss


def std_weighted_loss(net, mean, std):
    """mean((std net + z)^2)"""
    def loss(p, x0, t, z):
        s = std(t)[:, None]
        return jnp.mean((s * net(p, mean(t)[:, None] * x0 + s * z, t) + z) ** 2)

    return loss


def times(key, n):
    return random.uniform(key, (n,), minval=1e-5, maxval=1.0)


def pool_draw(pool, n):
    """Draws of n rows of the pool, with times and noise."""
    pool = jnp.asarray(pool)

    def draw(key):
        a, b, c = random.split(key, 3)
        x0 = pool[random.randint(a, (n,), 0, len(pool))]
        return x0, times(b, n), random.normal(c, x0.shape)

    return draw


def triangles(batch=32, width=256, depth=4):
    p, net = embedded_mlp(random.PRNGKey(0), 4, depth, width, 64)
    return training(p, ou_weighted_loss(net, 0.3, 0.5), pool_draw(data.triangles(), batch), 1e-2)


def rings(batch=32, width=512, depth=2):
    p, net = embedded_mlp(random.PRNGKey(0), 2, depth, width, 2)
    return training(p, ou_weighted_loss(net, 0.5, 0.5), pool_draw(data.half_rings(), batch))


def circle(batch, width=128):
    p, net = circle_net(random.PRNGKey(0), width)
    x0 = jnp.asarray(data.circle(batch))

    def draw(key):
        a, b = random.split(key)
        return x0, times(a, batch), random.normal(b, x0.shape)

    return training(p, std_weighted_loss(net, jnp.ones_like, jnp.sqrt), draw, 1e-4, average=0.9999)


def nano_ring(batch=5000, width=64, depth=5):
    p, net = time_mlp(random.PRNGKey(0), [3] + [width] * depth + [2], jax.nn.relu)

    def mean(t):
        return jnp.exp(-0.5 * (0.1 * t + 19.9 * t * t / 2))

    def draw(key):
        """Directions of uniform points of a square, with radii from a gamma distribution of mean 1."""
        a, b, c, d = random.split(key, 4)
        x0 = random.uniform(a, (batch, 2), minval=-1.0, maxval=1.0)
        x0 = x0 / jnp.sqrt((x0**2).sum(1, keepdims=True))
        x0 = x0 * random.gamma(b, 200.0, (batch, 1)) / 200.0
        return x0, random.uniform(c, (batch,)), random.normal(d, x0.shape)

    return training(p, std_weighted_loss(net, mean, lambda t: jnp.sqrt(1 - mean(t) ** 2)), draw)


def large(batch, width, depth=3):
    """Wide layers, or many rows."""
    p, net = time_mlp(random.PRNGKey(0), [3] + [width] * depth + [2], jax.nn.silu)

    def draw(key):
        a, b, c = random.split(key, 3)
        return random.normal(a, (batch, 2)), times(b, batch), random.normal(c, (batch, 2))

    return training(p, std_weighted_loss(net, jnp.ones_like, jnp.sqrt), draw)


def heat_kernel(p, net, batch=1024, kappa=1.1):
    def draw(key):
        a, b = random.split(key)
        return jnp.zeros((batch, 1)), times(a, batch), random.normal(b, (batch, 1))

    def loss(p, x0, t, z):
        """mean((std score + (x_t - x_0) / std)^2) with score = net / std."""
        std = jnp.sqrt((kappa ** (2 * t) - 1) / (2 * math.log(kappa)))[:, None]
        xt = x0 + std * z
        return jnp.mean((std * (net(p, xt, t) / std) + (xt - x0) / std) ** 2)

    return training(p, loss, draw)


def heat_mlp(batch=1024, width=8, depth=3):
    return heat_kernel(*time_mlp(random.PRNGKey(0), [2] + [width] * depth + [1], jax.nn.silu), batch)


def fine_tuning():
    base, net = embedded_mlp(random.PRNGKey(0), 4, 4, 256, 64)
    teacher, delta_net = time_mlp(random.PRNGKey(5), [5, 64, 64, 4], jax.nn.silu)
    student = mlp(random.PRNGKey(6), [5, 64, 64, 4])
    pool = pool_draw(data.triangles(), 32)

    def draw(key):
        x0, t, z = pool(key)
        return jnp.exp(-0.3 * t)[:, None] * x0 + ou_std(t, 0.3, 0.5)[:, None] * z, t

    def loss(p, x, t):
        """A proximal term that holds the student at the teacher, less its advance away from the data."""
        anchor = net(base, x, t) + delta_net(teacher, x, t)
        delta = net(base, x, t) + delta_net(p, x, t) - anchor
        late = (t <= 0.1).astype(x.dtype)
        return 1e-3 * (delta**2).sum(1).mean() - (5.0 * (-anchor * delta).sum(1) * late).mean()

    return training(student, loss, draw, 1e-4, 0.01)


# Samplers and the likelihood


def sampling(sample):
    def run(units):
        for _ in range(units):
            last = sample(random.PRNGKey(3))
        jax.block_until_ready(last)

    return run


def circle_sampling(n=1500, steps=1000):
    p, net = circle_net(random.PRNGKey(0))
    grid = jnp.linspace(1.0, 1e-5, steps)
    h = grid[0] - grid[1]

    @jax.jit
    def sample(key):
        """Reverse Euler-Maruyama of dX = dW from the unit circle at time 1; the last mean."""
        key, sub = random.split(key)
        x = random.normal(sub, (n, 2))
        x = x / jnp.linalg.norm(x, axis=1, keepdims=True)

        def step(carry, t):
            x, _, key = carry
            key, sub = random.split(key)
            mean = x + net(p, x, jnp.full((n,), t)) * h
            return (mean + jnp.sqrt(h) * random.normal(sub, x.shape), mean, key), None

        return lax.scan(step, (x, x, key), grid)[0][1]

    return sampling(sample)


def triangles_sampling(n=1024, steps=100, theta=0.3, sigma=0.5, snr=0.15):
    p, net = embedded_mlp(random.PRNGKey(0), 4, 4, 256, 64)
    h, epsilon = 1 / steps, (snr * sigma) ** 2

    @jax.jit
    def sample(key):
        """Reverse steps from time 1 to 0, each with one corrector after it."""
        key, sub = random.split(key)

        def step(carry, time):
            x, key = carry
            key, a, b = random.split(key, 3)
            t = jnp.full((n,), time)
            x = x + (theta * x + sigma**2 * net(p, x, t)) * h + sigma * math.sqrt(h) * random.normal(a, x.shape)
            x = x + epsilon * net(p, x, t) + math.sqrt(2 * epsilon) * random.normal(b, x.shape)
            return (x, key), None

        return lax.scan(step, (random.normal(sub, (n, 4)), key), jnp.linspace(1.0, 0.0, steps + 1)[:-1])[0][0]

    return sampling(sample)


def likelihood():
    p, net = circle_net(random.PRNGKey(0), trained=data.trained_circle())
    points = data.grid()

    @jax.jit
    def divergence(x, t):
        def one(point):
            # One linearization and a tangent for each coordinate: the cheapest exact trace that JAX offers.
            y, push = jax.linearize(lambda u: net(p, u[None], jnp.reshape(t, (1,)))[0], point)
            return y, jnp.trace(jax.vmap(push)(jnp.eye(2)))

        return jax.vmap(one)(x)

    def run(units):
        for _ in range(units):
            _, evaluations = data.log_likelihood(lambda x, t: jax.device_get(divergence(x, jnp.float32(t))), points)
        return evaluations

    return run


if __name__ == "__main__":
    worker.serve(chosen, {
        "W1": triangles,
        "W2": rings,
        "W3a": partial(circle, batch=9),
        "W3b": partial(circle, batch=500),
        "W4": nano_ring,
        "W5a": heat_mlp,
        "W5b": lambda: heat_kernel(*heat_embedded_net(random.PRNGKey(0))),
        "W6": circle_sampling,
        "W7": likelihood,
        "W8": fine_tuning,
        "W9": triangles_sampling,
        "W10a": partial(large, batch=256, width=1024),
        "W10b": partial(large, batch=256, width=2048),
        "W11a": partial(large, batch=10_000, width=256),
        "W11b": partial(large, batch=100_000, width=256),
    } | classic_jax.MAKERS)
