"""What is said of autoencoders, each sentence beside the numbers that were measured."""

from __future__ import annotations

from typing import Any

from benchmarks.family.page import table


def rows(found: dict[str, Any]) -> list[list[str]]:
    """[claim, numbers, verdict] for every claim whose data sets were there."""
    result = [_fewer_errors(found["reconstruction"]), _subspace(found["reconstruction"])]
    if "sparsity" in found:
        result += [*_sparse(found["sparsity"]), _robust(found["contraction"])]
        result += [_denoised(found["noise"]["mnist"]), _unmasked(found["mask"]), _features(found["accuracy"])]
        result += [_samples(found["samples"]), _continuous(found["between"])]
    return result


def page(found: dict[str, Any]) -> str:
    return table(("claim", "measured", "holds"), rows(found))


def _verdict(right: int, all_of: int) -> str:
    return "yes" if right == all_of else "no" if not right else f"in {right} of {all_of} cases"


def _fewer_errors(measured: list[dict[str, Any]]) -> list[str]:
    ratios = {
        (r["data"], r["latent"], name): r[name] / r["pca"]
        for r in measured
        for name in ("fc", "conv")
        if name in r
    }
    sets = sorted({key[0] for key, ratio in ratios.items() if ratio < 1})
    low, high = min(ratios.values()), max(ratios.values())
    numbers = f"error {low - 1:+.0%} to {high - 1:+.0%} against PCA of as many dimensions; less on "
    numbers += ", ".join(sets)
    verdict = _verdict(sum(r < 1 for r in ratios.values()), len(ratios))
    return ["a nonlinear autoencoder reconstructs with less error than PCA", numbers, verdict]


def _subspace(measured: list[dict[str, Any]]) -> list[str]:
    worst = max(r["angle_max"] for r in measured)
    more = max(r["linear"] / r["pca"] - 1 for r in measured)
    numbers = f"largest principal angle {worst:.1f} degrees; error at most {more:.2%} above PCA's"
    right = sum(r["linear"] / r["pca"] < 1.01 for r in measured)
    return ["a linear one finds PCA's subspace", numbers, _verdict(right, len(measured))]


def _sparse(measured: list[dict[str, Any]]) -> list[list[str]]:
    l1 = [r for r in measured if r["kind"] == "l1"]
    kl = [r for r in measured if r["kind"] == "kl"]
    shares = [r["share"] for r in l1]
    falls = sum(b < a for a, b in zip(shares, shares[1:], strict=False))
    numbers = ", ".join(f"{r['share']:.0%} active at weight {r['weight']:g}" for r in l1)
    rho = ", ".join(f"{r['mean']:.3f} for rho {r['rho']:g}" for r in kl)
    near = sum(abs(r["mean"] - r["rho"]) < 0.3 * r["rho"] for r in kl)
    return [
        ["an L1 penalty makes latents sparse", numbers, _verdict(falls, len(shares) - 1)],
        ["a KL penalty brings the mean activation to rho", f"mean activation {rho}", _verdict(near, len(kl))],
    ]


def _robust(measured: list[dict[str, Any]]) -> list[str]:
    pairs = [(r, next(b for b in measured if b["name"] == r["against"])) for r in measured if "against" in r]
    numbers = "; ".join(
        f"{r['name']}: norm {r['jacobian'] / b['jacobian'] - 1:+.0%}, moved by noise "
        f"{r['noise'] / b['noise'] - 1:+.0%}"
        for r, b in pairs
    )
    right = sum(r["noise"] < b["noise"] for r, b in pairs)
    return ["a contractive one is robust to slight variation", numbers, _verdict(right, len(pairs))]


def _denoised(measured: list[dict[str, Any]]) -> list[str]:
    numbers = "; ".join(
        f"sigma {r['sigma']}: {r['denoising']:.1f} dB, plain {r['plain']:.1f}, best filter "
        f"{max(r['nlm'], r.get('bm3d', 0)):.1f}"
        for r in measured
    )
    right = sum(r["denoising"] > max(r["plain"], r["nlm"], r.get("bm3d", 0)) for r in measured)
    return ["a denoising one recovers the picture from noise", numbers, _verdict(right, len(measured))]


def _unmasked(measured: list[dict[str, Any]]) -> list[str]:
    numbers = "; ".join(
        f"{r['share']:.0%} lost: {r['denoising']:.1f} dB, plain {r['plain']:.1f}, "
        f"biharmonic {r['biharmonic']:.1f}"
        for r in measured
    )
    right = sum(r["denoising"] > max(r["plain"], r["biharmonic"]) for r in measured)
    return ["... and from missing pixels", numbers, _verdict(right, len(measured))]


def _features(measured: dict[str, list[dict[str, Any]]]) -> list[str]:
    by_name = {r["features"]: r for r in measured["mnist"]}
    plain, denoising = by_name["wide"], by_name["denoising"]
    numbers = (
        f"accuracy on noisy digits {denoising['noisy']:.1%}, from a plain one's latents {plain['noisy']:.1%}"
    )
    verdict = _verdict(int(denoising["noisy"] > plain["noisy"]), 1)
    return ["... and the features, not only the picture", numbers, verdict]


def _samples(measured: list[dict[str, Any]]) -> list[str]:
    prior, *others = measured[1:]
    numbers = "; ".join(f"{r['source']}: {r['precision']:.0%}" for r in (prior, *others))
    right = sum(prior["precision"] > r["precision"] for r in others)
    return ["a variational one's latents can be sampled (precision)", numbers, _verdict(right, len(others))]


def _continuous(measured: dict[str, float]) -> list[str]:
    numbers = "; ".join(f"{name} {value:.2f}" for name, value in measured.items())
    others = [value for name, value in measured.items() if name != "variational"]
    right = sum(measured["variational"] < value for value in others)
    claim = "its latents are continuous (distance of midpoints to the nearest picture, 1 for pictures)"
    return [claim, numbers, _verdict(right, len(others))]
