"""What Pillow does not look at in a FITS file: how numbers are scaled, planes behind the first, missing data.

Part of the first step of encoding; used by aecodec.pixels alone. FITS standard 4.0, sections 4.4 and 5.
"""

from __future__ import annotations

import math
from typing import BinaryIO, NamedTuple

from PIL import Image

from aecodec.errors import InputError

CARD, BLOCK = 80, 2880
MOST_CARDS = 100_000
"""Of all headers up to that of the picture."""
SIGN = 0x8000
"""FITS stores unsigned numbers of 16 bits as those with a sign, 32768 less."""
ADVICE = "store whole numbers from 0 on, of 8 or 16 bits, without BSCALE"

Cards = dict[str, str]


class Facts(NamedTuple):
    flip: int = 0
    """Bits of each sample that mean the opposite."""
    signed: bool = False
    """Samples of 16 bits, as Pillow gives them, above 32767 are below 0."""
    notes: tuple[str, ...] = ()


def facts_of(image: Image.Image) -> Facts:
    """Of an image before it is loaded; of other formats nothing. InputError for what Pillow reads wrongly."""
    if image.format != "FITS":
        return Facts()
    stream = getattr(image, "fp", None)
    if stream is None or not getattr(image, "tile", ()):
        if image.mode != "I;16":
            return Facts()
        raise InputError("a FITS of 16 bits that is loaded, so that its scale is not known: give the file")
    at = stream.tell()
    stream.seek(0)
    try:
        cards = _header(stream)
        facts = _facts(cards)
        _refuse_cut(stream, cards)
    finally:
        stream.seek(at)
    return facts


def refuse_negative(largest: int) -> None:
    """InputError. largest: of samples that have a sign, taken for such without."""
    if largest >= SIGN:
        raise InputError("a FITS of numbers with a sign, some below 0; " + ADVICE)


def _header(stream: BinaryIO) -> Cards:
    """The first one with a picture; the stream is then where its data begin."""
    cards: Cards = {}
    for _ in range(MOST_CARDS):
        card = stream.read(CARD)
        if len(card) < CARD:
            break
        name = card[:8].decode("latin-1").rstrip()
        if name == "END":
            stream.seek(math.ceil(stream.tell() / BLOCK) * BLOCK)
            if _whole(cards, "NAXIS") > 0:
                return cards
            cards = {}
        elif card[8:9] == b"=":
            cards[name] = card[9:].decode("latin-1").partition("/")[0].strip()
    raise InputError("a FITS whose header is damaged or too long")


def _facts(cards: Cards) -> Facts:
    packed = "Z" if cards.get("ZIMAGE") == "T" else ""
    bits, zero, scale = (
        _whole(cards, packed + "BITPIX"),
        _number(cards, "BZERO", 0),
        _number(cards, "BSCALE", 1),
    )
    unsigned = bits == 16 and zero == SIGN
    if bits > 0 and (scale != 1 or not (zero == 0 or unsigned)):
        raise InputError(
            f"a FITS of scaled numbers (BITPIX {bits}, BZERO {zero:g}, BSCALE {scale:g}); {ADVICE}"
        )
    planes = math.prod(_axes(cards, packed)[2:])
    notes = (f"first of {planes} planes taken",) if planes > 1 else ()
    return Facts(SIGN if unsigned else 0, bits == 16 and not unsigned, notes)


def _refuse_cut(stream: BinaryIO, cards: Cards) -> None:
    """All planes are looked for, also those that are not taken: half a file is no whole one."""
    start = stream.tell()
    values = _whole(cards, "PCOUNT", 0) + math.prod(_axes(cards, ""))
    needed = abs(_whole(cards, "BITPIX")) // 8 * _whole(cards, "GCOUNT", 1) * values
    found = stream.seek(0, 2) - start
    if found < needed:
        raise InputError(
            f"the FITS is cut short: {max(found, 0)} bytes of data where its header says {needed}"
        )


def _axes(cards: Cards, packed: str) -> list[int]:
    count = _whole(cards, packed + "NAXIS")
    if not 0 < count < 1000:
        raise InputError(f"a FITS with NAXIS {count}, which is damaged")
    return [_whole(cards, f"{packed}NAXIS{number}") for number in range(1, count + 1)]


def _whole(cards: Cards, name: str, default: int | None = None) -> int:
    found = _number(cards, name, default)
    if found != int(found):
        raise InputError(f"a FITS with {name} {found}, which is damaged")
    return int(found)


def _number(cards: Cards, name: str, default: float | None = None) -> float:
    """Fortran writes D for E."""
    text = cards.get(name)
    if text is None and default is not None:
        return default
    try:
        found = float((text or "").upper().replace("D", "E"))
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise InputError(f"a FITS with {name} {text or 'left out'}, where a number is needed")
    return found
