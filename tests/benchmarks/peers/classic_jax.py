"""The classic functions G1 to G10 in JAX, in f64 and on the numbers that Wengert's classic.hpp draws."""
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def drawn(seed, *shape):
    """Numbers in [0, 1): a counter through splitmix64."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed << 32) + np.arange(math.prod(shape), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64).reshape(shape) * 2.0**-53


def evaluation(f, *inputs):
    """One unit is a call of the jitted f whose results are awaited."""
    with jax.enable_x64(True):
        arrays, compiled = [jnp.asarray(x) for x in inputs], jax.jit(f)

    def run(units):
        with jax.enable_x64(True):
            for _ in range(units):
                jax.block_until_ready(compiled(*arrays))

    def checksum():
        with jax.enable_x64(True):
            results = np.concatenate([np.ravel(x) for x in jax.tree_util.tree_leaves(compiled(*arrays))])
        return float(results @ np.cos(np.arange(len(results))))

    return run, checksum


# Sums over data


def kmeans():
    def f(points, centroids):
        def cost(c):
            squares = (points**2).sum(1, keepdims=True) + (c**2).sum(1)
            return (squares - 2 * points @ c.T).min(1).sum()

        (value, g), (_, h) = jax.jvp(jax.value_and_grad(cost), (centroids,), (jnp.ones_like(centroids),))
        return value, g / h

    return evaluation(f, drawn(1, 10_000, 8), drawn(2, 32, 8))


def least_squares():
    def f(x, t):
        def cost(x):
            y = x[-1]
            for coefficient in x[-2::-1]:
                y = y * t + coefficient
            return 0.5 * ((jnp.sign(t) - y) ** 2).sum()

        return jax.value_and_grad(cost)(x)

    return evaluation(f, drawn(1, 16), -1 + 2 * np.arange(20_000) / 19_999)


def log_sum_exp(as_op):
    def value(x):
        if as_op:
            return jax.nn.logsumexp(x)
        largest = x.max()
        return largest + jnp.log(jnp.exp(x - largest).sum())

    return evaluation(jax.value_and_grad(value), drawn(1, 100_000))


def mixture(n=1000, d=10, count=25):
    columns, rows = np.triu_indices(d, 1)  # below the diagonal, column by column

    def f(x, *parameters):
        def log_posterior(p):
            alpha, means, q, l = p
            lower = jnp.zeros((count, d, d)).at[:, rows, columns].set(l)
            centred = x[:, None] - means
            scaled = jnp.exp(q) * centred + jnp.einsum("kab,nkb->nka", lower, centred)
            inner = alpha + q.sum(1) - 0.5 * (scaled**2).sum(2)
            return (jax.nn.logsumexp(inner, 1).sum() - n * jax.nn.logsumexp(alpha)
                    - 0.5 * (jnp.exp(2 * q).sum() + (l**2).sum()))

        return jax.value_and_grad(log_posterior)(parameters)

    return evaluation(f, drawn(1, n, d), drawn(2, count), drawn(3, count, d), drawn(4, count, d),
                      drawn(5, count, len(rows)))


# Recurrences


def lstm(characters=1024, bits=14):
    def layer(weight, bias, x, hidden, cell):
        forget, into = jax.nn.sigmoid(x * weight[0] + bias[0]), jax.nn.sigmoid(hidden * weight[1] + bias[1])
        out, change = jax.nn.sigmoid(x * weight[2] + bias[2]), jnp.tanh(hidden * weight[3] + bias[3])
        cell = cell * forget + into * change
        return out * jnp.tanh(cell), cell

    def f(main, extra, start, text):
        def loss(p):
            layers, extra = p[0].reshape(4, 4, bits), p[1]

            def step(state, x):
                h1, c1 = layer(layers[0], layers[1], x[0] * extra[0], state[0], state[1])
                h2, c2 = layer(layers[2], layers[3], h1, state[2], state[3])
                y = h2 * extra[1] + extra[2]
                return (h1, c1, h2, c2), (x[1] * (y - jnp.log(jnp.exp(y).sum() + 2))).sum()

            gained = lax.scan(step, tuple(start), (text[:-1], text[1:]))[1]
            return -gained.sum() / ((characters - 1) * bits)

        return jax.value_and_grad(loss)((main, extra))

    return evaluation(f, drawn(1, 4, 4 * bits), drawn(2, 3, bits), drawn(3, 4, bits),
                      np.round(drawn(4, characters, bits)))


def runge_kutta(unrolled):
    steps = 40 if unrolled else 1000
    h = 2 / steps

    def last(x):
        def slope(y):
            return x * jnp.concatenate([jnp.ones(1), y[:-1]])

        def step(y):
            k1 = slope(y)
            k2 = slope(y + h / 2 * k1)
            k3 = slope(y + h / 2 * k2)
            k4 = slope(y + h * k3)
            return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

        y = jnp.zeros_like(x)
        if not unrolled:
            return lax.scan(lambda y, _: (step(y), None), y, length=steps)[0][-1]
        for _ in range(steps):
            y = step(y)
        return y[-1]

    return evaluation(jax.value_and_grad(last), 0.5 + drawn(1, 64))


def value_and_gradient(f):
    """By forward mode, which goes through loops of any length."""

    def both(x):
        return jax.vmap(lambda v: jax.jvp(f, (x,), (v,)), out_axes=(None, 0))(jnp.eye(len(x)))

    return both


def argmin(f, start):
    """Gradient descent that doubles its step after ten successes, and halves it where the function does not fall. It
    ends where the gradient or a step is below 1e-5."""

    def go_on(at):
        _, _, gradient, _, _, moves = at
        return moves & ((gradient**2).sum() > 1e-10)

    def step(at):
        x, value, gradient, rate, successes, _ = at
        faster, new = successes == 10, x - rate * gradient
        new_value, new_gradient = f(new)
        moves = faster | (((new - x) ** 2).sum() > 1e-10)
        better = (new_value < value) & moves & ~faster
        return (jnp.where(better, new, x), jnp.where(better, new_value, value),
                jnp.where(better, new_gradient, gradient), rate * jnp.where(faster, 2.0, jnp.where(better, 1.0, 0.5)),
                jnp.where(better, successes + 1, 0), moves)

    return lax.while_loop(go_on, step, (start, *f(start), jnp.float64(1e-3), 0, True))[0]


def saddle_point():
    def f(start):
        def worst(x):
            return argmin(jax.value_and_grad(lambda y: (y**2).sum() - (x**2).sum()), start)

        x = argmin(value_and_gradient(lambda x: (x**2).sum() - (worst(x) ** 2).sum()), start)
        return x, worst(x)

    return evaluation(f, np.ones(2))


def particle(dt=0.1):
    def miss(w):
        charges = jnp.stack([jnp.array([10.0, 10.0 - w[0]]), jnp.array([10.0, 0.0])])

        def potential(x):
            return (1 / jnp.sqrt(((x - charges) ** 2).sum(1))).sum()

        def step(at):
            x, v = at
            return x + dt * v, v - dt * jax.grad(potential)(x)

        x, v = lax.while_loop(lambda at: at[0][1] + dt * at[1][1] > 0, step,
                              (jnp.array([0.0, 8.0]), jnp.array([0.75, 0.0])))
        return (x[0] - x[1] / v[1] * v[0]) ** 2

    return evaluation(lambda w: argmin(value_and_gradient(miss), w), np.zeros(1))


# A determinant, and geometry


def determinant():
    def minor_of(entries, row, columns):
        if len(columns) == 1:
            return entries[row][columns[0]]
        total = 0.0
        for j, column in enumerate(columns):
            total += (-1) ** j * entries[row][column] * minor_of(entries, row + 1, columns[:j] + columns[j + 1 :])
        return total

    def f(a):
        return minor_of([[a[i, j] for j in range(6)] for i in range(6)], 0, tuple(range(6)))

    return evaluation(jax.value_and_grad(f), drawn(1, 6, 6))


def hand(bones=22, vertices=544, points=200):
    chosen = np.arange(points) * 37 % vertices
    parents = [0 if bone % 4 == 1 else bone - 1 for bone in range(bones)]

    def rotations(x, y, z):
        """About x, y and z by the angles of the pose, as homogeneous matrices [bones, 4, 4]."""
        o, i = jnp.zeros_like(x), jnp.ones_like(x)
        cx, sx, cy, sy, cz, sz = jnp.cos(x), jnp.sin(x), jnp.cos(y), jnp.sin(y), jnp.cos(z), jnp.sin(z)

        def matrix(*entries):
            return jnp.stack(entries, 1).reshape(bones, 4, 4)

        about_x = matrix(i, o, o, o, o, cx, -sx, o, o, sx, cx, o, o, o, o, i)
        about_y = matrix(cy, o, sy, o, o, i, o, o, -sy, o, cy, o, o, o, o, i)
        about_z = matrix(cz, -sz, o, o, sz, cz, o, o, o, o, i, o, o, o, o, i)
        return about_z @ about_y @ about_x

    def rotation(axis):
        angle = jnp.linalg.norm(axis)
        x, y, z = axis / angle
        cross = jnp.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        outer = jnp.outer(axis, axis) / angle**2
        return jnp.cos(angle) * jnp.eye(3) + (1 - jnp.cos(angle)) * outer + jnp.sin(angle) * cross

    def f(theta, relatives, inverses, base, weights, measured):
        def errors(p):
            bends = p[6:].reshape(5, 4)
            x, z = jnp.zeros((5, 4)), jnp.zeros((5, 4))
            x = x.at[:, 1:].set(bends[:, jnp.array([0, 2, 3])])
            z = z.at[:, 1].set(bends[:, 1])
            x, z = (jnp.concatenate([jnp.zeros(1), each.ravel(), jnp.zeros(1)]) for each in (x, z))
            posed = relatives @ rotations(x, jnp.zeros(bones), z)
            absolutes = []
            for i in range(bones):
                absolutes.append(absolutes[parents[i]] @ posed[i] if i else posed[0])
            transforms = jnp.stack(absolutes) @ inverses
            local = ((transforms @ base)[:, :3] * weights[:, None]).sum(0)
            hand = rotation(p[:3]) @ local + p[3:6, None]
            return measured - hand[:, chosen].T

        return jax.jacfwd(errors)(theta)

    return evaluation(f, drawn(1, 26), drawn(2, bones, 4, 4), drawn(3, bones, 4, 4), drawn(4, 4, vertices),
                      drawn(5, bones, vertices), drawn(6, points, 3))


def bundle_adjustment(cameras=20, points=1000, observations=10_000):
    camera, point = np.arange(observations) % cameras, np.arange(observations) % points

    def error(c, x, w, feature):
        """Of one observation, [2]."""
        x = x - c[3:6]
        angle = jnp.sqrt((c[:3] ** 2).sum())
        u = c[:3] / angle
        turned = x * jnp.cos(angle) + jnp.cross(u, x) * jnp.sin(angle) + u * (u * x).sum() * (1 - jnp.cos(angle))
        image = turned[:2] / turned[2]
        r2 = (image**2).sum()
        return w * (c[6] * image * (1 + c[9] * r2 + c[10] * r2**2) + c[7:9] - feature)

    def f(all_cameras, all_points, weights, features):
        given = (all_cameras[camera], all_points[point], weights, features)
        errors = jax.vmap(error)(*given)
        blocks = jax.vmap(jax.jacrev(error, (0, 1, 2)))(*given)
        rows = [[block[:, i] for block in blocks] for i in range(2)]
        return errors, rows, -2 * weights

    # Every point lies before every camera.
    return evaluation(f, 0.2 * drawn(1, cameras, 11), drawn(2, points, 3) + np.array([0, 0, 2]),
                      drawn(3, observations, 1), drawn(4, observations, 2))


MAKERS = {
    "G1": kmeans,
    "G2": least_squares,
    "G3a": lambda: log_sum_exp(False),
    "G3b": lambda: log_sum_exp(True),
    "G4": mixture,
    "G5": lstm,
    "G6a": lambda: runge_kutta(True),
    "G6b": lambda: runge_kutta(False),
    "G7": determinant,
    "G8": hand,
    "G9": bundle_adjustment,
    "G10a": saddle_point,
    "G10b": particle,
}
