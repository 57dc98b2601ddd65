"""The score networks of the workloads in PyTorch. All are called with points [B, d] and times [B]."""
import math

import torch
from torch import nn


class SinusoidalEmbedding(nn.Module):
    """[sin(t w), cos(t w)] with frequencies w spaced geometrically on [1, 1000]."""

    def __init__(self, width):
        super().__init__()
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, math.log(1000), width // 2)))

    def forward(self, t):
        angle = t[:, None] * self.frequencies
        return torch.cat([torch.sin(angle), torch.cos(angle)], 1)


class FourierEmbedding(nn.Module):
    """[cos(2 pi t w), sin(2 pi t w)] with fixed random frequencies w."""

    def __init__(self, width, scale):
        super().__init__()
        self.register_buffer("freqs", torch.randn(width // 2) * scale)

    def forward(self, t):
        angle = t[:, None] * (2 * math.pi * self.freqs)
        return torch.cat([torch.cos(angle), torch.sin(angle)], 1)


def mlp(widths, activation):
    layers = []
    for fan_in, fan_out in zip(widths, widths[1:]):
        layers += [nn.Linear(fan_in, fan_out), activation()]
    return nn.Sequential(*layers[:-1])


class EmbeddedMlp(nn.Module):
    """A ReLU MLP on [x, sinusoidal embedding of t]: triangles and rings."""

    def __init__(self, d, layers, hidden, embedding, zero_output=True):
        super().__init__()
        self.embedding = SinusoidalEmbedding(embedding)
        self.net = mlp([d + embedding] + [hidden] * layers + [d], lambda: nn.ReLU(inplace=True))
        if zero_output:
            nn.init.zeros_(self.net[-1].weight)
            nn.init.zeros_(self.net[-1].bias)

    def forward(self, x, t):
        return self.net(torch.cat([x, self.embedding(t)], 1))


class TimeMlp(nn.Module):
    """An MLP on [x, t]: the nano ring and the heat kernel."""

    def __init__(self, widths, activation):
        super().__init__()
        self.net = mlp(widths, activation)

    def forward(self, x, t):
        return self.net(torch.cat([x, t[:, None]], 1))


class Corrected(nn.Module):
    """A frozen base score and a small MLP on [x, t] that corrects it."""

    def __init__(self, base, d, hidden):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.delta = TimeMlp([d + 1, hidden, hidden, d], nn.SiLU)

    def forward(self, x, t):
        return self.base(x, t) + self.delta(x, t)


class CircleNet(nn.Module):
    """The circle's SiLU MLP with Fourier features and a LayerNorm, divided by the standard deviation sqrt(t)."""

    def __init__(self, width=128):
        super().__init__()
        self.time_embed = nn.Sequential(
            FourierEmbedding(width, 16), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.input_proj = nn.Linear(2 + width, width)
        self.hidden = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
            nn.Linear(width, width), nn.LayerNorm(width), nn.SiLU())
        self.output = nn.Linear(width, 2)

    def forward(self, x, t):
        h = self.input_proj(torch.cat([x, self.time_embed(t)], 1))
        return self.output(self.hidden(h)) / torch.sqrt(t)[:, None]


class HeatEmbeddedNet(nn.Module):
    """The heat kernel's network with 256 Fourier features of time."""

    def __init__(self, hidden=8, embedding=256):
        super().__init__()
        self.time = nn.Sequential(FourierEmbedding(embedding, 30), nn.Linear(embedding, hidden), nn.SiLU())
        self.point = nn.Linear(1, hidden)
        self.output = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 1))

    def forward(self, x, t):
        return self.output(self.point(x) + self.time(t))
