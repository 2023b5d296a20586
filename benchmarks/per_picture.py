"""What means hide: the pictures on which a codec is worst, and whether its dial is monotone on each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.curves import Row, compare, curve_of, increases

PictureRates = dict[str, dict[str, float | None]]


def curves_by_picture(rows: list[Row], qualities: Iterable[float]) -> dict[str, dict[str, Any]]:
    """{picture: its curve}, for one codec's rows."""
    chosen = list(qualities)
    names = sorted({row["picture"] for row in rows})
    return {n: curve_of(n, "", [row for row in rows if row["picture"] == n], chosen, 1) for n in names}


def bd_rates(
    rows: list[Row], qualities: dict[str, list[float]], against: str, metric: str
) -> dict[str, dict[str, float | None]]:
    """{picture: {codec: BD-rate against `against` on this picture alone}}. qualities: {codec: its sweep}."""
    each = {
        name: curves_by_picture([row for row in rows if row["codec"] == name], sweep)
        for name, sweep in qualities.items()
    }
    anchors = each.get(against, {})
    return {
        picture: {
            name: compare(anchor, found[picture], metric) if picture in found else None
            for name, found in each.items()
        }
        for picture, anchor in anchors.items()
    }


def worst(rates: PictureRates, codec: str, count: int) -> list[tuple[str, float]]:
    """The pictures with the largest BD-rate of a codec, largest first; those without one are left out."""
    known = [(picture, value) for picture, row in rates.items() if (value := row.get(codec)) is not None]
    return sorted(known, key=lambda item: -item[1])[:count]


def print_worst(rates: PictureRates, codec: str, against: str, metric: str, count: int) -> None:
    found = worst(rates, codec, count)
    if not found:
        return
    print(f"\nworst pictures of {codec} against {against} (BD-rate, {metric})")
    for picture, value in found:
        print(f"  {picture:32} {value:+8.1f} %")


def dial_facts(rows: list[Row], qualities: Iterable[float], pictures: int) -> dict[str, Any]:
    """aecodec's range, and whether more quality always means more bytes and a better picture."""
    chosen = list(qualities)
    curve = curve_of("", "", rows, chosen, pictures)["results"]
    if not curve["bpp"]:
        return {}
    each = {name: entry["results"] for name, entry in curves_by_picture(rows, chosen).items()}
    return {
        "bpp_at_q0": curve["bpp"][0],
        "bpp_at_q100": curve["bpp"][-1],
        "bpp_monotone": increases(curve["bpp"]),
        "psnr_monotone": increases(curve["psnr-rgb"]),
        "pictures_not_monotone_bpp": [n for n, c in each.items() if not increases(c["bpp"])],
        "pictures_not_monotone_psnr": [n for n, c in each.items() if not increases(c["psnr-rgb"])],
    }


def print_dial(dial: dict[str, Any]) -> None:
    print(f"  range {dial['bpp_at_q0']:.4f} bpp at q 0 .. {dial['bpp_at_q100']:.4f} bpp at q 100")
    for what in ("bpp", "psnr"):
        verdict = "monotone" if dial[f"{what}_monotone"] else "NOT monotone"
        broken = ", ".join(dial[f"pictures_not_monotone_{what}"]) or "none"
        print(f"  mean {what} is {verdict} in q; pictures where it is not: {broken}")
