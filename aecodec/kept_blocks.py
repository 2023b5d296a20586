"""The way to a target where which blocks are coded as pixels (blocks.py) changes with the quality.

Size and PSNR jump there. So the search goes on with the blocks of the files on both sides of the target kept
as they are, and then with some of the one file's and the rest of the other's.
"""

from __future__ import annotations

from collections.abc import Callable

from aecodec.quality_search import Encode, Search

Keep = Callable[[bytes, bytes, float | None], Encode | None]
"""Two files and a share -> an encoder that codes, at any quality, those blocks as pixels which the second
file does, at that share of all places, and elsewhere those of the first; without a share no blocks at all.
None where neither file has any."""

SHARES = 5
"""Shares of two files' blocks that are tried between none and all."""


def approach(keep: Keep, search: Search, qualities: tuple[int, int], ceiling: float) -> bool:
    """A quality_search.Stuck, but for `keep`."""
    known = {q: search.files[q] for q in qualities if q in search.files}
    low, high = known[min(known)], known[max(known)]

    def keeping(share: float) -> Search | None:
        encode = keep(low, high, share)
        return encode and Search(encode, search.goal, highest=search.highest)

    for quality in sorted(known, key=lambda q: search.goal.distance(search.values[q])):
        if other := keeping(float(quality == qualities[1])):
            other.add(quality, known[quality])
            if _followed(search, other, quality, ceiling):
                return True
    return len(known) == 2 and _shared(search, keeping, qualities[0], ceiling)


def _shared(search: Search, keeping: Callable[[float], Search | None], quality: int, ceiling: float) -> bool:
    """The share of the blocks of the file above with which `quality` comes near, and from there on."""
    goal, tried = search.goal, list[Search]()
    low, high = 0.0, 1.0
    while len(tried) < SHARES and (other := keeping((low + high) / 2)):
        data = other.encoded(quality)
        before = [each.files[quality] for each in (search, *tried) if quality in each.files]
        if data in before:  # there are no shares between
            break
        tried.append(other)
        if goal.distance(other.values[quality]) <= 4 * goal.tolerance:
            break
        below = other.values[quality] < goal.wanted
        low, high = ((low + high) / 2, high) if below else (low, (low + high) / 2)
    tried.sort(key=lambda each: goal.distance(each.values[quality]))
    search.others += [(each.values[quality], quality, each.files[quality]) for each in tried[1:]]
    return bool(tried) and _followed(search, tried[0], quality, ceiling)


def _followed(search: Search, other: Search, known: int, ceiling: float) -> bool:
    """Another search from one quality on; its files are answers of the first one, too."""
    hit = other.approach(known, ceiling)
    own = search.files.get(known)
    search.others += [(other.values[q], q, data) for q, data in other.files.items() if data is not own]
    return hit
