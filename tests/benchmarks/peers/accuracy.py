"""Errors of the networks of bench_accuracy in PyTorch: outputs and gradients in f32 against f64.

usage: accuracy.py [--seeds N]

Networks, points, times and noise are PyTorch's own draws, of the same distributions.
"""
import argparse
import copy
import statistics

import torch

import torch_diffusion as diffusion
import torch_networks as networks

EARLIEST = 1e-5


def rows():
    """Name, network, process, loss, points in a batch, dimensions."""
    relu, silu = torch.nn.ReLU, torch.nn.SiLU
    ou, std = diffusion.ou_weighted_loss, diffusion.std_weighted_loss
    brownian, heat = diffusion.Brownian(), diffusion.VarianceExploding(1.1)
    return [
        ("W1, W9", lambda: networks.EmbeddedMlp(4, 4, 256, 64, False), diffusion.OrnsteinUhlenbeck(0.3, 0.5), ou, 32, 4),
        ("W2", lambda: networks.EmbeddedMlp(2, 2, 512, 2, False), diffusion.OrnsteinUhlenbeck(0.5, 0.5), ou, 32, 2),
        ("W3b, W6, W7", networks.CircleNet, brownian, std, 500, 2),
        ("W4", lambda: networks.TimeMlp([3] + [64] * 5 + [2], relu), diffusion.VariancePreserving(), std, 5000, 2),
        ("W5a", lambda: networks.TimeMlp([2] + [8] * 3 + [1], silu), heat, heat_loss, 1024, 1),
        ("W5b", networks.HeatEmbeddedNet, heat, heat_loss, 1024, 1),
        ("W10a", lambda: networks.TimeMlp([3] + [1024] * 3 + [2], silu), brownian, std, 256, 2),
        ("W11a", lambda: networks.TimeMlp([3] + [256] * 3 + [2], silu), brownian, std, 10000, 2),
    ]


def heat_loss(net, process, x0, t, z):
    """mean((std score + z)^2) with score = net / std."""
    xt, _, std = process.perturb(x0, t, z)
    return torch.mean((std * (net(xt, t) / std) + z) ** 2)


def results(net, process, loss, batch):
    outputs = net(batch[0], batch[1])
    gradients = torch.autograd.grad(loss(net, process, *batch), list(net.parameters()))
    return outputs.detach().double(), torch.cat([g.flatten() for g in gradients]).double()


def errors(got, wanted):
    rms = wanted.square().mean().sqrt()
    return ((got - wanted).square().mean().sqrt() / rms).item(), ((got - wanted).abs().max() / rms).item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    print("              rms of the error / rms   largest error / rms")
    print("              outputs gradients        outputs gradients")
    for name, make, process, loss, n, dimension in rows():
        found = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            net = make()
            t = torch.rand(n) * (1 - EARLIEST) + EARLIEST
            batch = torch.randn(n, dimension), t, torch.randn(n, dimension)
            narrow = results(net, process, loss, batch)
            wide = results(copy.deepcopy(net).double(), process, loss, [each.double() for each in batch])
            found.append([errors(*pair) for pair in zip(narrow, wide)])
        medians = [statistics.median(of_seed[part][what] for of_seed in found) for what in (0, 1) for part in (0, 1)]
        print("{:12}  {:8.1e} {:8.1e}         {:8.1e} {:8.1e}".format(name, *medians))


if __name__ == "__main__":
    main()
