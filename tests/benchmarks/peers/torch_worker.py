"""The workloads in PyTorch, as a worker.

usage: torch_worker.py --threads N [--mode torch_eager|torch_compile]

torch_compile compiles the loss of a training step and takes the fused optimizer; of the samplers and the likelihood it
compiles the network.
"""
import copy
from functools import partial

import worker

chosen = worker.options(["torch_eager", "torch_compile"])

import torch  # noqa: E402: only now that the environment is set

import data
import torch_diffusion as diffusion
import torch_networks as networks

compiled = chosen.mode == "torch_compile"
maybe_compile = torch.compile if compiled else lambda function: function


def training(net, draw, loss, optimizer=torch.optim.Adam, lr=1e-3, weight_decay=0.0, after=None):
    """Steps: draw a batch, loss, backward, optimizer, `after`."""
    parameters = [p for p in net.parameters() if p.requires_grad]
    # fused=False would also turn off the choice between loops and foreach that PyTorch makes for itself.
    optimize = optimizer(parameters, lr=lr, weight_decay=weight_decay, **({"fused": True} if compiled else {}))
    loss = maybe_compile(loss)

    def run(units):
        for _ in range(units):
            batch = draw()
            optimize.zero_grad()
            loss(*batch).backward()
            optimize.step()
            if after:
                after()

    return run


def sampling(sample):
    def run(units):
        for _ in range(units):
            sample()

    return run


def times(n):
    return torch.rand(n) * (1 - 1e-5) + 1e-5


def pool_draw(pool, n):
    """Draws of n rows of the pool, with times and noise."""

    def draw():
        x0 = pool[torch.randint(0, len(pool), (n,))]
        return x0, times(n), torch.randn_like(x0)

    return draw


def triangles(batch=32, width=256, depth=4):
    net, process = networks.EmbeddedMlp(4, depth, width, 64), diffusion.OrnsteinUhlenbeck(0.3, 0.5)
    return training(net, pool_draw(torch.from_numpy(data.triangles()), batch),
                    lambda *batch: diffusion.ou_weighted_loss(net, process, *batch), torch.optim.AdamW, 1e-2)


def rings(batch=32, width=512, depth=2):
    net, process = networks.EmbeddedMlp(2, depth, width, 2), diffusion.OrnsteinUhlenbeck(0.5, 0.5)
    return training(net, pool_draw(torch.from_numpy(data.half_rings()), batch),
                    lambda *batch: diffusion.ou_weighted_loss(net, process, *batch), torch.optim.AdamW)


def circle(batch, width=128):
    net, process, x0 = networks.CircleNet(width), diffusion.Brownian(), torch.from_numpy(data.circle(batch))
    average = copy.deepcopy(net)
    return training(net, lambda: (x0, times(batch), torch.randn_like(x0)),
                    lambda *batch: diffusion.std_weighted_loss(net, process, *batch), lr=1e-4,
                    after=lambda: diffusion.update_average(average, net))


def nano_ring(batch=5000, width=64, depth=5):
    net, process = networks.TimeMlp([3] + [width] * depth + [2], torch.nn.ReLU), diffusion.VariancePreserving()

    def draw():
        """Directions of uniform points of a square, with radii from a gamma distribution of mean 1."""
        x0 = 2 * torch.rand(batch, 2) - 1
        x0 = x0 / torch.sqrt((x0**2).sum(1, keepdim=True))
        x0 = x0 * torch.distributions.Gamma(200.0, 200.0).sample((batch, 1))
        return x0, torch.rand(batch), torch.randn_like(x0)

    return training(net, draw, lambda *batch: diffusion.std_weighted_loss(net, process, *batch))


def large(batch, width, depth=3):
    """Wide layers, or many rows."""
    net, process = networks.TimeMlp([3] + [width] * depth + [2], torch.nn.SiLU), diffusion.Brownian()
    return training(net, lambda: (torch.randn(batch, 2), times(batch), torch.randn(batch, 2)),
                    lambda *batch: diffusion.std_weighted_loss(net, process, *batch))


def heat_kernel(net, batch=1024):
    process, x0 = diffusion.VarianceExploding(1.1), torch.zeros(batch, 1)
    return training(net, lambda: (x0, torch.rand(batch), torch.randn(batch, 1)),
                    lambda *drawn: diffusion.heat_loss(net, process, *drawn))


def heat_mlp(batch=1024, width=8, depth=3):
    return heat_kernel(networks.TimeMlp([2] + [width] * depth + [1], torch.nn.SiLU), batch)


def circle_sampling():
    net = maybe_compile(networks.CircleNet().eval())
    return sampling(lambda: diffusion.euler_maruyama(net, 1500, 1000))


def likelihood():
    net = networks.CircleNet().eval()
    net.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in data.trained_circle().items()})
    net.requires_grad_(False)
    points = data.grid()
    net = maybe_compile(net)

    def score_and_trace(x, t):
        # Faster than vmap(jacrev), eager and compiled.
        score, trace = diffusion.value_and_trace(net, torch.from_numpy(x), torch.full((len(x),), t))
        return score.numpy(), trace.numpy()

    def run(units):
        for _ in range(units):
            _, evaluations = data.log_likelihood(score_and_trace, points)
        return evaluations

    return run


def fine_tuning():
    base, process = networks.EmbeddedMlp(4, 4, 256, 64, zero_output=False), diffusion.OrnsteinUhlenbeck(0.3, 0.5)
    teacher, student = (networks.Corrected(copy.deepcopy(base), 4, 64) for _ in range(2))
    pool = pool_draw(torch.from_numpy(data.triangles()), 32)

    def draw():
        x0, t, z = pool()
        return process.perturb(x0, t, z)[0], t

    return training(student, draw, lambda x, t: diffusion.fine_tuning_loss(student, teacher, x, t), torch.optim.AdamW,
                    1e-4, 0.01)


def triangles_sampling():
    net, process = networks.EmbeddedMlp(4, 4, 256, 64, zero_output=False).eval(), diffusion.OrnsteinUhlenbeck(0.3, 0.5)
    net, start = maybe_compile(net), torch.randn(1024, 4)
    return sampling(lambda: diffusion.predictor_corrector(net, process, start, 100))


if __name__ == "__main__":
    torch.set_num_threads(chosen.threads)
    # Adam's moments of dead units decay into denormal numbers, which are slow and which everybody flushes.
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    worker.serve(chosen, {
        "W1": triangles,
        "W2": rings,
        "W3a": partial(circle, batch=9),
        "W3b": partial(circle, batch=500),
        "W4": nano_ring,
        "W5a": heat_mlp,
        "W5b": lambda: heat_kernel(networks.HeatEmbeddedNet()),
        "W6": circle_sampling,
        "W7": likelihood,
        "W8": fine_tuning,
        "W9": triangles_sampling,
        "W10a": partial(large, batch=256, width=1024),
        "W10b": partial(large, batch=256, width=2048),
        "W11a": partial(large, batch=10_000, width=256),
        "W11b": partial(large, batch=100_000, width=256),
    })
