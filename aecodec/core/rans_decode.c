/* Group payload + index -> symbols, block by block:
 *
 *   compact   which symbols are coded            (scalar or AVX2)
 *   rANS      their codes, from the words        (scalar or AVX2)
 *   resolve   their values, with the raw bits    (here only)
 *
 * The words of a block are read before its raw bits, on both paths, so both fail alike. */
#include "rans.h"

#include <string.h>

static const int8_t value_of[AECODEC_ROW] = {0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7, 0};

aecodec_simd aecodec_simd_available(void) {
#ifdef AECODEC_HAVE_AVX2
    /* Virtual machines may hide one of them; tzcnt without BMI is another instruction. */
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt")) {
        return AECODEC_SIMD_AVX2;
    }
#endif
    return AECODEC_SIMD_NONE;
}

aecodec_status aecodec_decoder_init(aecodec_decoder *d, const aecodec_tables *tables, const uint8_t *payload,
                                    size_t size, aecodec_simd simd) {
    memset(d, 0, sizeof *d);
    d->tables = tables;
    d->payload = payload;
    d->simd = simd == AECODEC_SIMD_AUTO ? aecodec_simd_available() : simd;
    if (d->simd != AECODEC_SIMD_NONE && d->simd != AECODEC_SIMD_AVX2) {
        return aecodec_fail(d, AECODEC_BAD_ARGUMENT, 0);
    }
    if (d->simd > aecodec_simd_available()) return aecodec_fail(d, AECODEC_NO_SIMD, 0);

    aecodec_cursor c = aecodec_cursor_at(payload, size, 0);
    unsigned head = aecodec_cursor_u8(&c);
    unsigned lanes_log2 = head & 7u;
    uint32_t raw_size = 0;
    if (lanes_log2 > AECODEC_MAX_LANES_LOG2 || (head & ~15u) != 0) return aecodec_fail(d, AECODEC_CORRUPT, 0);
    if (head & AECODEC_HEAD_RAW) {
        raw_size = aecodec_cursor_varint(&c);
        if (c.status == AECODEC_OK && raw_size == 0) return aecodec_fail(d, AECODEC_CORRUPT, 1);
    }
    uint32_t lanes = 1u << lanes_log2;
    for (uint32_t l = 0; l < lanes; l++) {
        d->state[l] = aecodec_cursor_u32(&c);
        if (c.status == AECODEC_OK && d->state[l] < AECODEC_STATE_LOW) {
            return aecodec_fail(d, AECODEC_CORRUPT, c.offset - 4);
        }
    }
    if (c.status != AECODEC_OK) return aecodec_fail(d, c.status, c.offset);
    if (aecodec_cursor_left(&c) < raw_size) return aecodec_fail(d, AECODEC_TRUNCATED, c.offset);

    d->lane_mask = lanes - 1;
    d->word = c.offset;
    d->word_end = size - raw_size;
    d->raw_end = size;
    if ((d->word_end - d->word) % 2 != 0) return aecodec_fail(d, AECODEC_CORRUPT, d->word);
    return AECODEC_OK;
}

/* The code whose interval holds slot: the last c with start[c] <= slot, in four halvings. */
static inline unsigned find_code(const int16_t *start, int slot) {
    unsigned c = (unsigned)(start[8] <= slot) << 3;
    c += (unsigned)(start[c + 4] <= slot) << 2;
    c += (unsigned)(start[c + 2] <= slot) << 1;
    c += (unsigned)(start[c + 1] <= slot);
    return c;
}

aecodec_status aecodec_block_scalar(aecodec_decoder *d, aecodec_block *block, size_t from, size_t to) {
    const aecodec_tables *tables = d->tables;
    const uint8_t *payload = d->payload;
    uint32_t lane = (uint32_t)(d->coded & d->lane_mask);
    const uint32_t lane_mask = d->lane_mask;
    size_t word = d->word, i = from;

    while (i < to) {
        /* A symbol takes at most one word, so as many symbols as there are words need no check. */
        size_t safe = (d->word_end - word) / 2;
        size_t end = to - i < safe ? to : i + safe;
        if (safe < 16) end = i;
        for (; i < end; i++) {
            uint32_t x = d->state[lane];
            uint32_t slot = x & AECODEC_SLOT_MASK;
            unsigned row = block->row[i];
            unsigned code = find_code(tables->start[row], (int)slot);
            uint32_t entry = tables->entry[row][code];
            x = (entry >> 16) * (x >> AECODEC_PRECISION) + slot - (entry & 0xFFFFu);
            uint32_t refilled = x << 16 | aecodec_load16(payload + word);
            uint32_t small = x < AECODEC_STATE_LOW;
            d->state[lane] = small ? refilled : x;
            word += 2 * (size_t)small;
            block->code[i] = (uint8_t)code;
            lane = (lane + 1) & lane_mask;
        }
        if (i == to || safe >= 16) continue;
        for (; i < to; i++) { /* the last words of the payload */
            uint32_t x = d->state[lane];
            uint32_t slot = x & AECODEC_SLOT_MASK;
            unsigned row = block->row[i];
            unsigned code = find_code(tables->start[row], (int)slot);
            uint32_t entry = tables->entry[row][code];
            x = (entry >> 16) * (x >> AECODEC_PRECISION) + slot - (entry & 0xFFFFu);
            if (x < AECODEC_STATE_LOW) {
                if (word == d->word_end) return aecodec_fail(d, AECODEC_TRUNCATED, word);
                x = x << 16 | aecodec_load16(payload + word);
                word += 2;
            }
            d->state[lane] = x;
            block->code[i] = (uint8_t)code;
            lane = (lane + 1) & lane_mask;
        }
    }
    d->word = word;
    d->coded += to - from;
    return AECODEC_OK;
}

/* The next raw bits without consuming them, zeros beyond the end. At least 57 of them. */
static uint64_t raw_peek(const aecodec_decoder *d) {
    size_t at = d->word_end + (size_t)(d->raw_bit / 8);
    uint64_t bits = 0;
    if (d->raw_end - at >= 8) {
        bits = aecodec_load64(d->payload + at);
    } else {
        for (size_t i = 0; at + i < d->raw_end; i++) bits |= (uint64_t)d->payload[at + i] << (8 * i);
    }
    return bits >> (d->raw_bit % 8);
}

/* code and raw bits -> symbol. At most 15 + 1 + 15 + 1 + 10 = 42 bits. */
static aecodec_status resolve(aecodec_decoder *d, unsigned code, unsigned shift, int16_t *out) {
    size_t where = d->word_end + (size_t)(d->raw_bit / 8);
    uint64_t bits = raw_peek(d);
    unsigned used = 0;
    int32_t h = value_of[code];
    if (code == AECODEC_ESCAPE) {
        unsigned length = 0;
        while (length <= 15 && (bits >> length & 1u) == 0) length++;
        uint64_t left = (uint64_t)(d->raw_end - d->word_end) * 8 - d->raw_bit;
        if (length >= left) return aecodec_fail(d, AECODEC_TRUNCATED, where);
        if (length > 15) return aecodec_fail(d, AECODEC_CORRUPT, where);
        uint32_t v = (1u << length) | (uint32_t)(bits >> (length + 1) & ((1u << length) - 1u));
        used = 2 * length + 1;
        h = (int32_t)v + 7;
        if (bits >> used & 1u) h = -h;
        used++;
    }
    uint32_t low = (uint32_t)(bits >> used) & ((1u << shift) - 1u);
    used += shift;
    d->raw_bit += used;
    if (d->raw_bit > (uint64_t)(d->raw_end - d->word_end) * 8) return aecodec_fail(d, AECODEC_TRUNCATED, where);
    int32_t symbol = h * (1 << shift) - (1 << shift >> 1) + (int32_t)low;
    if (symbol < INT16_MIN || symbol > INT16_MAX) return aecodec_fail(d, AECODEC_CORRUPT, where);
    *out = (int16_t)symbol;
    return AECODEC_OK;
}

static aecodec_status decode_block(aecodec_decoder *d, const uint8_t *index, int16_t *out, size_t n) {
    aecodec_block block;
    unsigned largest;
    aecodec_status status;
#ifdef AECODEC_HAVE_AVX2
    if (d->simd == AECODEC_SIMD_AVX2) {
        largest = aecodec_compact_avx2(&block, index, n, d->tables->skip);
    } else
#endif
    {
        largest = aecodec_compact(&block, index, n, d->tables->skip);
    }
    memset(out, 0, n * sizeof *out);
    if (block.count == 0) return AECODEC_OK;
    if (largest >= d->tables->n_rows) return aecodec_fail(d, AECODEC_BAD_INDEX, d->word);
#ifdef AECODEC_HAVE_AVX2
    if (d->simd == AECODEC_SIMD_AVX2) {
        status = aecodec_block_avx2(d, &block);
    } else
#endif
    {
        status = aecodec_block_scalar(d, &block, 0, block.count);
    }
    if (status != AECODEC_OK) return status;
    for (size_t i = 0; i < block.count; i++) {
        unsigned code = block.code[i];
        unsigned shift = d->tables->shift[block.row[i]];
        int16_t *symbol = &out[block.position[i]];
        if (shift == 0 && code != AECODEC_ESCAPE) {
            *symbol = value_of[code];
        } else if (resolve(d, code, shift, symbol) != AECODEC_OK) {
            return d->status;
        }
    }
    return AECODEC_OK;
}

aecodec_status aecodec_decoder_decode(aecodec_decoder *d, const uint8_t *index, int16_t *out, size_t count) {
    for (size_t i = 0; i < count && d->status == AECODEC_OK;) {
        size_t n = count - i < AECODEC_BLOCK ? count - i : AECODEC_BLOCK;
        decode_block(d, index + i, out + i, n);
        i += n;
    }
    return d->status;
}

aecodec_status aecodec_decoder_finish(aecodec_decoder *d) {
    if (d->status != AECODEC_OK) return d->status;
    if (d->word != d->word_end) return aecodec_fail(d, AECODEC_CORRUPT, d->word);
    for (uint32_t l = 0; l <= d->lane_mask; l++) {
        if (d->state[l] != AECODEC_STATE_LOW) return aecodec_fail(d, AECODEC_CORRUPT, d->word);
    }
    uint64_t raw_bits = (uint64_t)(d->raw_end - d->word_end) * 8;
    size_t where = d->word_end + (size_t)(d->raw_bit / 8);
    if (raw_bits - d->raw_bit >= 8) return aecodec_fail(d, AECODEC_CORRUPT, where);
    if (raw_bits != d->raw_bit && raw_peek(d) != 0) return aecodec_fail(d, AECODEC_CORRUPT, where);
    return AECODEC_OK;
}
