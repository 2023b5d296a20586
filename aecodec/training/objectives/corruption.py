"""What the input of a denoising autoencoder has suffered.  The target stays clean.

Vincent et al., Extracting and Composing Robust Features with Denoising Autoencoders, ICML 2008."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

KINDS = ("gaussian", "poisson-gaussian", "mask")


@dataclass(frozen=True)
class Corruption:
    """x [B, C, H, W] in 0..1 -> the same, each sample with its own kind and strength.

    kinds: each sample draws one of them; one that is listed twice is drawn twice as often.
    gaussian: x + N(0, sigma^2), sigma uniform in low..high.
    poisson-gaussian: a Poisson(x / a) + N(0, b^2), the noise of a sensor (Foi et al., Practical
    Poissonian-Gaussian Noise Modeling and Fitting, IEEE TIP 17(10), 2008).  Its standard deviation at
    white is sigma, drawn as above: a + b^2 = sigma^2, the share of a uniform in 0..1.
    mask: squares of mask_size pixels become mask_value, each with a probability that is uniform in
    0..mask_share (Vincent et al. take single pixels and 0).
    low and high are on the 0..255 scale.  A share `clean` of the samples is left alone, so that a clean
    picture is not mistaken for a noisy one.  The result is clipped to 0..1, as stored pictures are."""

    kinds: tuple[str, ...]
    low: float = 0.0
    high: float = 50.0
    clean: float = 0.2
    mask_share: float = 0.5
    mask_size: int = 1
    mask_value: float = 0.0

    def __post_init__(self) -> None:
        if not self.kinds or any(kind not in KINDS for kind in self.kinds):
            raise ValueError(f"setting 'noise': {list(self.kinds)} is unknown; known: {', '.join(KINDS)}")
        if not 0 <= self.low <= self.high:
            raise ValueError(
                f"settings 'noise_low' {self.low} and 'noise_high' {self.high}: 0 <= low <= high expected"
            )
        for key, value in (("noise_clean", self.clean), ("mask_share", self.mask_share)):
            if not 0 <= value <= 1:
                raise ValueError(f"setting {key!r} wants a share of 0..1, got {value}")
        if self.mask_size < 1:
            raise ValueError(f"setting 'mask_size' wants 1 or more pixels, got {self.mask_size}")

    def __call__(self, x: Tensor) -> Tensor:
        """Draws from torch's global generator, a number that does not depend on the values of x."""
        count, device = x.shape[0], x.device
        kind = torch.randint(len(self.kinds), (count,))
        sigma, share, spared = torch.rand(3, count, 1, 1, 1, device=device)
        sigma = (self.low + (self.high - self.low) * sigma) / 255
        noisy = x.clone()
        for i, name in enumerate(self.kinds):
            of = (kind == i).nonzero()[:, 0].to(device)
            if not len(of):
                continue
            if name == "gaussian":
                noisy[of] = gaussian(x[of], sigma[of])
            elif name == "poisson-gaussian":
                a, b = sigma[of].square() * share[of], sigma[of] * (1 - share[of]).sqrt()
                noisy[of] = poisson_gaussian(x[of], a, b)
            else:
                noisy[of] = masked(x[of], self.mask_share * share[of], self.mask_size, self.mask_value)
        return torch.where(spared < self.clean, x, noisy.clamp(0, 1))


def gaussian(x: Tensor, sigma: Tensor | float) -> Tensor:
    """x + N(0, sigma^2), not clipped."""
    return x + sigma * torch.randn_like(x)


def poisson_gaussian(x: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    """a Poisson(x / a) + N(0, b^2): variance a x + b^2, not clipped.  a = 0 is no Poisson noise."""
    quantum = torch.as_tensor(a, dtype=x.dtype, device=x.device).clamp(min=1e-12)
    counts = x / quantum
    # Far beyond a float's integers a count is its own mean, and torch.poisson is slow.
    shot = torch.where(quantum > 1e-7, torch.poisson(counts.clamp(max=1e7)) * quantum, x)
    return gaussian(shot, b)


def masked(x: Tensor, share: Tensor | float, size: int, value: float) -> Tensor:
    """Squares of size x size pixels, their grid shifted at random, each lost with probability share."""
    count, _, height, width = x.shape
    top, left = torch.randint(size, (2,)).tolist()
    cells = torch.rand(count, 1, -(-(height + top) // size), -(-(width + left) // size), device=x.device)
    lost = (cells < share).repeat_interleave(size, 2).repeat_interleave(size, 3)
    return x.masked_fill(lost[:, :, top : top + height, left : left + width], value)
