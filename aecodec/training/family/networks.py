"""Fully connected and convolutional autoencoders of pictures of one size.

    fc    x [B, C, H, W] -flatten-> n -hidden layers-> D -the same layers backwards-> n -reshape-> x_hat
    conv  x -3x3 /2-> 32 -3x3 /2-> 64 @1/4 -flatten, linear-> D
          D -linear-> 64 @1/4 -3x3, shuffle 2-> 32 @1/2 -3x3, shuffle 2-> x_hat

With hidden = [128, 64] and D = 32 on 28x28 pictures fc is 784-128-64-32-64-128-784.  A variational encoder
has a second output layer for the standard deviations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.training.objectives.variational import reparameterise

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "gelu": F.gelu,
}
NETWORKS = ("fc", "conv")
CONV_CHANNELS = (32, 64)
LOG_VARIANCE_MIN = -12.0
"""Standard deviations stay above 0.0025, so that their logarithm stays finite."""


@dataclass(frozen=True)
class Shape:
    """All that decides a network's layers.  input: C, H, W.  hidden: widths between input and latents.

    activation of hidden layers, latent_activation of h, output of x_hat: linear, relu, sigmoid or gelu.
    tied: the decoder's weights are the encoder's, transposed (fc only)."""

    network: str
    input: tuple[int, int, int]
    latent: int
    hidden: tuple[int, ...] = (128, 64)
    activation: str = "relu"
    latent_activation: str = "linear"
    output: str = "sigmoid"
    tied: bool = False
    variational: bool = False

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ValueError(f"setting 'network': {self.network!r} is unknown; known: {', '.join(NETWORKS)}")
        for key in ("activation", "latent_activation", "output"):
            value = getattr(self, key)
            if value not in ACTIVATIONS:
                raise ValueError(f"setting {key!r}: {value!r} is unknown; known: {', '.join(ACTIVATIONS)}")
        if self.latent < 1 or any(width < 1 for width in self.hidden):
            raise ValueError(f"settings 'latent' {self.latent} and 'hidden' {list(self.hidden)}: 1 or more")
        if self.network == "conv" and (self.input[1] % 4 or self.input[2] % 4):
            raise ValueError(
                f"setting 'network': conv wants sides that are multiples of 4, not {self.input[1:]}"
            )
        if self.tied and self.network != "fc":
            raise ValueError("setting 'tied' wants network fc")


class TiedLinear(nn.Module):
    """Linear layer whose weight is another's, transposed; only its bias is its own."""

    def __init__(self, source: nn.Linear):
        super().__init__()
        self.source = [source]  # a list, so that the weight is registered once
        self.bias = nn.Parameter(torch.zeros(source.in_features))

    @property
    def weight(self) -> Tensor:
        return self.source[0].weight.T

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class Encoder(nn.Module):
    """x [B, C, H, W] -> mean [B, D], log variance [B, D] or None."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.act = ACTIVATIONS[shape.activation]
        self.latent_act = ACTIVATIONS[shape.latent_activation]
        channels, height, width = shape.input
        self.convs = nn.ModuleList()
        self.layers = nn.ModuleList()
        if shape.network == "conv":
            for c_in, c_out in zip((channels, *CONV_CHANNELS), CONV_CHANNELS, strict=False):
                self.convs.append(nn.Conv2d(c_in, c_out, 3, stride=2, padding=1))
            last = CONV_CHANNELS[-1] * (height // 4) * (width // 4)
        else:
            widths = (prod(shape.input), *shape.hidden)
            for n_in, n_out in zip(widths, widths[1:], strict=False):
                self.layers.append(nn.Linear(n_in, n_out))
            last = widths[-1]
        self.head = nn.Linear(last, shape.latent)
        self.spread = nn.Linear(last, shape.latent) if shape.variational else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        for conv in self.convs:
            x = self.act(conv(x))
        x = x.flatten(1)
        for layer in self.layers:
            x = self.act(layer(x))
        mean = self.latent_act(self.head(x))
        if self.spread is None:
            return mean, None
        return mean, self.spread(x).clamp(min=LOG_VARIANCE_MIN)


class Decoder(nn.Module):
    """h [B, D] -> x_hat [B, C, H, W], the output activation applied."""

    def __init__(self, shape: Shape, encoder: Encoder):
        super().__init__()
        self.act, self.out_act = ACTIVATIONS[shape.activation], ACTIVATIONS[shape.output]
        self.shape = shape.input
        channels, height, width = shape.input
        self.layers = nn.ModuleList()
        self.convs = nn.ModuleList()
        if shape.network == "conv":
            middle, deep = CONV_CHANNELS
            self.grid: tuple[int, ...] = (deep, height // 4, width // 4)
            self.layers.append(nn.Linear(shape.latent, prod(self.grid)))
            self.convs.append(nn.Conv2d(deep, 4 * middle, 3, padding=1))
            self.convs.append(nn.Conv2d(middle, 4 * channels, 3, padding=1))
        elif shape.tied:
            for layer in (encoder.head, *reversed(encoder.layers)):
                assert isinstance(layer, nn.Linear)
                self.layers.append(TiedLinear(layer))
        else:
            widths = (shape.latent, *reversed(shape.hidden), prod(shape.input))
            for n_in, n_out in zip(widths, widths[1:], strict=False):
                self.layers.append(nn.Linear(n_in, n_out))

    def forward(self, h: Tensor) -> Tensor:
        last = len(self.layers) - (not self.convs)
        for i, layer in enumerate(self.layers):
            h = self.act(layer(h)) if i < last else layer(h)
        if self.convs:
            h = F.pixel_shuffle(self.convs[0](h.unflatten(1, self.grid)), 2)
            h = F.pixel_shuffle(self.convs[1](self.act(h)), 2)
        return self.out_act(h.reshape(-1, *self.shape))

    @torch.no_grad()
    def start_at(self, mean: Tensor) -> None:
        """Let the output's bias be the mean picture [C, H, W], as far as the output layer can say it."""
        if self.convs:
            value = mean.mean((1, 2)).repeat_interleave(4)
            bias = self.convs[-1].bias
        else:
            value, bias = mean.flatten(), self.layers[-1].bias
        if self.out_act is torch.sigmoid:
            value = value.clamp(0.01, 0.99).logit()
        assert isinstance(bias, Tensor)
        bias.copy_(value)


class Autoencoder(nn.Module):
    """x [B, C, H, W] in 0..1 -> x_hat, h and, of a variational one, mean and std."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.encoder = Encoder(shape)
        self.decoder = Decoder(shape, self.encoder)

    def encode(self, x: Tensor) -> Tensor:
        """h [B, D], of a variational encoder the mean."""
        mean: Tensor = self.encoder(x)[0]
        return mean

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """-> x_hat, h, mean, std; h is drawn from N(mean, std^2) where there is a std."""
        mean, log_variance = self.encoder(x)
        if log_variance is None:
            return self.decoder(mean), mean, None, None
        std = (0.5 * log_variance).exp()
        h = reparameterise(mean, std)
        return self.decoder(h), h, mean, std
