"""The group coder and the context of z once more, written from docs/format.md in plain Python: slow,
and independent of C.

rows: a list of 16 cumulative starts each; shifts: one a row. Only what a test needs.
"""

from __future__ import annotations

TOTAL = 1 << 15
LOW = 1 << 16


class Bits:
    def __init__(self) -> None:
        self.bits: list[int] = []

    def put(self, value: int, n: int) -> None:
        self.bits += [value >> i & 1 for i in range(n)]

    def pack(self) -> bytes:
        padded = self.bits + [0] * (-len(self.bits) % 8)
        octets = (padded[i : i + 8] for i in range(0, len(padded), 8))
        return bytes(sum(b << k for k, b in enumerate(octet)) for octet in octets)


def code_and_bits(symbol: int, shift: int, raw: Bits) -> int:
    biased = symbol + ((1 << shift) >> 1)
    h, low = biased >> shift, biased & ((1 << shift) - 1)
    code = (2 * h - 1 if h > 0 else -2 * h) if -7 <= h <= 7 else 15
    if code == 15:
        v = abs(h) - 8 + 1
        length = v.bit_length() - 1
        raw.put(0, length)
        raw.put(1, 1)
        raw.put(v - (1 << length), length)
        raw.put(int(h < 0), 1)
    raw.put(low, shift)
    return code


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def encode(
    rows: list[list[int]], shifts: list[int], skip: int, symbols: list[int], index: list[int], lanes_log2: int
) -> bytes:
    raw = Bits()
    coded = [(r, code_and_bits(s, shifts[r], raw)) for s, r in zip(symbols, index, strict=True) if r >= skip]
    lanes = 1 << lanes_log2
    states = [LOW] * lanes
    words: list[int] = []
    for i in reversed(range(len(coded))):
        row, code = coded[i]
        start = rows[row][code]
        freq = (rows[row] + [TOTAL])[code + 1] - start
        x = states[i % lanes]
        if x >= freq << 17:
            words.append(x & 0xFFFF)
            x >>= 16
        states[i % lanes] = (x // freq << 15) + x % freq + start
    raw_bytes = raw.pack()
    head = bytes([lanes_log2 | 8]) + varint(len(raw_bytes)) if raw_bytes else bytes([lanes_log2])
    body = b"".join(x.to_bytes(4, "little") for x in states)
    return head + body + b"".join(w.to_bytes(2, "little") for w in reversed(words)) + raw_bytes


NEIGHBOURS = {
    0: [],
    1: [(-2, -2), (-2, 2), (2, -2), (2, 2)],
    2: [(-2, 0), (2, 0), (0, -2), (0, 2)],
    3: [(-1, -1), (-1, 1), (1, -1), (1, 1)],
    4: [(-1, 0), (1, 0), (0, -1), (0, 1)],
}


def run_of(i: int, j: int) -> int:
    if (i + j) % 2:
        return 4
    if i % 2:
        return 3
    return {0: 1, 1: 2, 2: 0}[(i % 4 == 0) + (j % 4 == 0)]


def z_symbols(
    z: list[list[list[int]]],
    z_row: list[int],
    size: list[int],
    weight: list[list[int]],
    activity: list[int],
    step: list[list[list[int]]],
    lowest: int,
    n_rows: int,
) -> tuple[list[list[list[list[int]]]], list[list[list[list[int]]]]]:
    """z [Z][h][w] -> symbols and indices [5][Z][h][w]: section 5.1."""
    channels, height, width = len(z), len(z[0]), len(z[0][0])

    def empty() -> list[list[list[list[int]]]]:
        return [[[[0] * width for _ in range(height)] for _ in range(channels)] for _ in range(5)]

    symbols, index = empty(), empty()
    for i in range(height):
        for j in range(width):
            p = run_of(i, j)
            places = [(i + a, j + b) for a, b in NEIGHBOURS[p] if 0 <= i + a < height and 0 <= j + b < width]
            n, q = len(places), []
            for c in range(channels):
                total = sum(z[c][a][b] for a, b in places) * (12 // n if n else 0)
                sizes = sum(abs(z[c][a][b]) for a, b in places) * (12 // n if n else 0)
                mean = (weight[p - 1][c] * total + 384) // 768 if n else 0
                symbols[p][c][i][j] = z[c][i][j] - mean
                q.append(sum(64 * sizes >= size[z_row[c] - lowest] * e for e in (1, 2, 3, 4, 6, 8)))
            t = sum(edge <= sum(q) for edge in activity)
            for c in range(channels):
                row = z_row[c] + step[p if n else 0][q[c]][t]
                index[p][c][i][j] = min(max(row, lowest), n_rows - 1)
    return symbols, index
