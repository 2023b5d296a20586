/* Symbols + index -> group payload.
 *
 *   byte 0: lanes_log2 | raw flag   [varint raw size]   states   words   raw bits
 *
 * rANS is last in, first out: the encoder walks the coded symbols backwards so that the decoder can
 * walk forwards. The raw bits (escapes, low bits of shifted rows) are plain and written forwards. Both
 * are laid out at the end of the caller's buffer, where their final sizes become known, and then moved
 * down behind the head.
 *
 * Division by a frequency is a multiplication by floor(2^32 / f): with m = 2^32 / f - e, 0 <= e < 1,
 * x * m / 2^32 = x / f - x * e / 2^32 > x / f - 1, so the quotient is right or one too small, and one
 * comparison of the remainder settles it. (f = 1 stores 2^32 - 1, for which the same holds.) */
#include "rans.h"

#include <string.h>

typedef struct {
    uint8_t *out;
    uint64_t room; /* bytes that out has: the input may have changed since they were counted; 0: count only */
    uint64_t bits;
    uint64_t pending;
    unsigned n_pending;
} raw_writer;

static void raw_put(raw_writer *w, uint32_t value, unsigned n) {
    w->pending |= (uint64_t)value << w->n_pending;
    w->n_pending += n;
    while (w->n_pending >= 8) {
        if (w->bits / 8 < w->room) w->out[w->bits / 8] = (uint8_t)(w->pending & 255u);
        w->pending >>= 8;
        w->n_pending -= 8;
        w->bits += 8;
    }
}

static uint64_t raw_finish(raw_writer *w) {
    if (w->n_pending) raw_put(w, 0, 8 - w->n_pending);
    return w->bits / 8;
}

/* h = round(s / 2^k), ties up; s = h * 2^k - 2^(k-1) + low. Without shifting negative numbers. */
static int high_part(int symbol, unsigned shift, uint32_t *low) {
    uint32_t biased = (uint32_t)(symbol + (1 << shift >> 1) + 65536);
    *low = biased & ((1u << shift) - 1u);
    return (int)(biased >> shift) - (int)(65536u >> shift);
}

static unsigned code_of(int h) {
    if (h > 7 || h < -7) return AECODEC_ESCAPE;
    return h > 0 ? (unsigned)(2 * h - 1) : (unsigned)(-2 * h);
}

static void put_symbol(raw_writer *w, int symbol, unsigned shift) {
    uint32_t low;
    int h = high_part(symbol, shift, &low);
    if (code_of(h) == AECODEC_ESCAPE) {
        uint32_t v = (uint32_t)(h < 0 ? -h : h) - 7u; /* |h| - 8, plus 1 */
        unsigned length = 0;
        while (v >> length > 1) length++;
        raw_put(w, 1u << length, length + 1); /* length zeros, then a one */
        raw_put(w, v & ((1u << length) - 1u), length);
        raw_put(w, h < 0, 1);
    }
    if (shift) raw_put(w, low, shift);
}

/* One forward pass: checks everything, writes (or measures) the raw bits, counts the coded symbols. */
static aecodec_status forward(const aecodec_tables *tables, const int16_t *symbols, const uint8_t *index,
                              size_t count, raw_writer *raw, size_t *coded, size_t *where) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned row = index[i];
        if (row < tables->skip) {
            if (symbols[i] == 0) continue;
            *where = i;
            return AECODEC_BAD_SYMBOL;
        }
        if (row >= tables->n_rows) {
            *where = i;
            return AECODEC_BAD_INDEX;
        }
        unsigned shift = tables->shift[row];
        if (shift || symbols[i] > 7 || symbols[i] < -7) put_symbol(raw, symbols[i], shift);
        n++;
    }
    *coded = n;
    return AECODEC_OK;
}

/* A lane costs about 3 bytes. From 8 on the vector path runs, with 16 it is as fast as with 32. */
static unsigned choose_lanes(size_t coded) {
    if (coded < 4096) return 0;
    if (coded < 16384) return 1;
    if (coded < 32768) return 2;
    return coded < 65536 ? 3 : 4;
}

size_t aecodec_group_bound(size_t count) {
    /* A word and at most 30 raw bits a symbol; byte 0, varint, states. */
    const size_t fixed = 1 + 5 + 4 * AECODEC_MAX_LANES;
    return count > (SIZE_MAX - fixed) / 6 ? 0 : count * 6 + fixed;
}

aecodec_status aecodec_group_encode(const aecodec_tables *tables, const int16_t *symbols,
                                    const uint8_t *index, size_t count, int lanes_log2, uint8_t *out,
                                    size_t capacity, size_t *written, size_t *where) {
    size_t ignored, coded;
    if (!where) where = &ignored;
    *where = 0;
    if (lanes_log2 > (int)AECODEC_MAX_LANES_LOG2) return AECODEC_BAD_ARGUMENT;

    raw_writer raw = {0};
    aecodec_status status = forward(tables, symbols, index, count, &raw, &coded, where);
    if (status != AECODEC_OK) return status;
    uint64_t raw_size = raw_finish(&raw);
    if (raw_size > AECODEC_MAX_SECTION) return AECODEC_BAD_ARGUMENT;

    unsigned log2 = lanes_log2 < 0 ? choose_lanes(coded) : (unsigned)lanes_log2;
    uint32_t lanes = 1u << log2;
    uint8_t varint[5];
    size_t varint_size = raw_size ? aecodec_store_varint(varint, (uint32_t)raw_size) : 0;
    size_t head = 1 + varint_size + 4 * (size_t)lanes;
    if (capacity < head || capacity - head < raw_size) return AECODEC_NO_SPACE;

    uint8_t *words = out + (capacity - (size_t)raw_size);
    if (raw_size) {
        raw = (raw_writer){.out = words, .room = raw_size};
        status = forward(tables, symbols, index, count, &raw, &coded, where);
        if (status != AECODEC_OK) return status; /* the caller changed the input meanwhile */
        if (raw_finish(&raw) != raw_size) return AECODEC_BAD_ARGUMENT;
    }

    uint32_t state[AECODEC_MAX_LANES];
    for (uint32_t l = 0; l < lanes; l++) state[l] = AECODEC_STATE_LOW;
    size_t next = coded; /* the coded symbol after the one being coded */
    size_t blocks = count / AECODEC_BLOCK + (count % AECODEC_BLOCK != 0);
    for (size_t b = blocks; b-- > 0;) {
        size_t begin = b * AECODEC_BLOCK;
        size_t n = count - begin < AECODEC_BLOCK ? count - begin : AECODEC_BLOCK;
        aecodec_block block;
        aecodec_compact(&block, index + begin, n, tables->skip);
        for (size_t i = block.count; i-- > 0;) {
            uint32_t low;
            unsigned row = block.row[i];
            unsigned code = code_of(high_part(symbols[begin + block.position[i]], tables->shift[row], &low));
            uint32_t entry = tables->entry[row][code];
            uint32_t freq = entry >> 16, start = entry & 0xFFFFu;
            uint32_t lane = (uint32_t)(--next & (lanes - 1));
            uint32_t x = state[lane];
            if (x >> (32 - AECODEC_PRECISION) >= freq) { /* x >= freq * 2^17: it would overflow */
                if ((size_t)(words - out) < head + 2) return AECODEC_NO_SPACE;
                words -= 2;
                aecodec_store16(words, x);
                x >>= 16;
            }
            uint32_t q = (uint32_t)((uint64_t)x * tables->reciprocal[row][code] >> 32);
            uint32_t r = x - q * freq;
            uint32_t over = r >= freq;
            q += over;
            r -= over ? freq : 0;
            state[lane] = (q << AECODEC_PRECISION) + r + start;
        }
    }

    size_t body = (size_t)(out + capacity - words);
    memmove(out + head, words, body);
    out[0] = (uint8_t)(log2 | (raw_size ? AECODEC_HEAD_RAW : 0u));
    memcpy(out + 1, varint, varint_size);
    for (uint32_t l = 0; l < lanes; l++) aecodec_store32(out + 1 + varint_size + 4 * l, state[l]);
    *written = head + body;
    return AECODEC_OK;
}
