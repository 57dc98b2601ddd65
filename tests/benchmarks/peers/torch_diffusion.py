"""Processes, losses, samplers and the divergence of a score in PyTorch."""
import math

import torch


class Process:
    """x_t = mean(t) x_0 + std(t) z, for times [B, 1]."""

    def perturb(self, x0, t, z):
        mean, std = self.mean(t[:, None]), self.std(t[:, None])
        return mean * x0 + std * z, mean, std


class OrnsteinUhlenbeck(Process):
    """dX = -theta X dt + sigma dW"""

    def __init__(self, theta, sigma):
        self.theta, self.sigma = theta, sigma

    def mean(self, t):
        return torch.exp(-self.theta * t)

    def std(self, t):
        return torch.sqrt(self.sigma**2 * (1 - torch.exp(-2 * self.theta * t)) / (2 * self.theta))


class Brownian(Process):
    """dX = dW"""

    def mean(self, t):
        return torch.ones_like(t)

    def std(self, t):
        return torch.sqrt(t)


class VarianceExploding(Process):
    """dX = kappa^t dW"""

    def __init__(self, kappa):
        self.kappa = kappa

    def mean(self, t):
        return torch.ones_like(t)

    def std(self, t):
        return torch.sqrt((self.kappa ** (2 * t) - 1) / (2 * math.log(self.kappa)))


class VariancePreserving(Process):
    """dX = -beta/2 X dt + sqrt(beta) dW with beta from 0.1 at time 0 to 20 at time 1"""

    def mean(self, t):
        return torch.exp(-0.5 * (0.1 * t + 19.9 * t**2 / 2))

    def std(self, t):
        return torch.sqrt(1 - self.mean(t) ** 2)


def ou_weighted_loss(net, process, x0, t, z):
    """mean(w (score - net)^2) with w the variance over its mean in the batch."""
    xt, mean, std = process.perturb(x0, t, z)
    score = -(xt - mean * x0) / (std**2 + 1e-9)
    weight = torch.clamp(std.expand_as(x0) ** 2, min=1e-6)
    weight = weight / (weight.mean() + 1e-6)
    return (weight * (score - net(xt, t)) ** 2).mean()


def std_weighted_loss(net, process, x0, t, z):
    """mean((std net + z)^2)"""
    xt, _, std = process.perturb(x0, t, z)
    return torch.mean((std * net(xt, t) + z) ** 2)


def heat_loss(net, process, x0, u, z):
    """mean((std score + (x_t - x_0) / std)^2) with score = net / std, at t = 1e-5 + (1 - 1e-5) u."""
    t = 1e-5 + (1 - 1e-5) * u
    xt, _, std = process.perturb(x0, t, z)
    return torch.mean((std * (net(xt, t) / std) + (xt - x0) / std) ** 2)


def fine_tuning_loss(student, teacher, x, t):
    """A proximal term that holds the student at the teacher, less its advance in the direction away from the data."""
    late = (t <= 0.1).to(x.dtype)
    with torch.no_grad():
        anchor = teacher(x, t)
    delta = student(x, t) - anchor
    return 1e-3 * (delta**2).sum(1).mean() - (5 * (-anchor * delta).sum(1) * late).mean()


@torch.no_grad()
def update_average(average, net, decay=0.9999):
    """average <- decay average + (1 - decay) net"""
    for a, p in zip(average.parameters(), net.parameters()):
        a.mul_(decay).add_(p, alpha=1 - decay)


@torch.no_grad()
def euler_maruyama(net, n, steps):
    """Reverse Euler-Maruyama of dX = dW from the unit circle at time 1; the last mean."""
    x = torch.randn(n, 2)
    x = x / x.norm(dim=1, keepdim=True)
    times = torch.linspace(1, 1e-5, steps)
    h = times[0] - times[1]
    for t in times:
        mean = x + net(x, t.expand(n)) * h
        x = mean + torch.sqrt(h) * torch.randn_like(x)
    return mean


@torch.no_grad()
def predictor_corrector(net, process, x, steps, snr=0.15):
    """Reverse steps of an Ornstein-Uhlenbeck process from time 1 to 0, each with one corrector after it."""
    h, sigma = 1 / steps, process.sigma
    epsilon = (snr * sigma) ** 2
    for k in range(steps, 0, -1):
        t = torch.full((len(x),), k * h)
        x = x + (process.theta * x + sigma**2 * net(x, t)) * h + sigma * math.sqrt(h) * torch.randn_like(x)
        x = x + epsilon * net(x, t) + math.sqrt(2 * epsilon) * torch.randn_like(x)
    return x


def value_and_trace(net, x, t):
    """The score and its divergence by a VJP for every coordinate."""
    x = x.detach().requires_grad_(True)
    y, trace, d = net(x, t), 0, x.shape[1]
    for i in range(d):
        (g,) = torch.autograd.grad(y[:, i].sum(), x, retain_graph=i < d - 1)
        trace = trace + g[:, i]
    return y.detach(), trace
