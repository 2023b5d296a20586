/* The one way bytes are read: a cursor that cannot leave its buffer.
 *
 * A read that does not fit sets status and yields 0; reads after a failure do nothing. So a parser
 * reads a few fields and looks at status once. offset stays at the start of the read that failed. */
#ifndef AECODEC_CURSOR_H
#define AECODEC_CURSOR_H

#include "aecodec.h"

typedef struct aecodec_cursor {
    const uint8_t *data;
    size_t size;
    size_t offset;
    aecodec_status status;
} aecodec_cursor;

/* Byte order is spelled out, so big-endian machines read the same file. */
static inline uint32_t aecodec_load16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

static inline uint32_t aecodec_load32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t aecodec_load64(const uint8_t *p) {
    return (uint64_t)aecodec_load32(p) | (uint64_t)aecodec_load32(p + 4) << 32;
}

static inline void aecodec_store16(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v & 255u);
    p[1] = (uint8_t)(v >> 8 & 255u);
}

static inline void aecodec_store32(uint8_t *p, uint32_t v) {
    aecodec_store16(p, v);
    aecodec_store16(p + 2, v >> 16);
}

static inline aecodec_cursor aecodec_cursor_at(const uint8_t *data, size_t size, size_t offset) {
    aecodec_cursor c = {data, size, offset, offset <= size ? AECODEC_OK : AECODEC_TRUNCATED};
    return c;
}

static inline size_t aecodec_cursor_left(const aecodec_cursor *c) {
    return c->status == AECODEC_OK ? c->size - c->offset : 0;
}

/* The next n bytes, or NULL. */
static inline const uint8_t *aecodec_cursor_take(aecodec_cursor *c, size_t n) {
    if (c->status != AECODEC_OK) return NULL;
    if (n > c->size - c->offset) {
        c->status = AECODEC_TRUNCATED;
        return NULL;
    }
    const uint8_t *p = c->data + c->offset;
    c->offset += n;
    return p;
}

static inline uint8_t aecodec_cursor_u8(aecodec_cursor *c) {
    const uint8_t *p = aecodec_cursor_take(c, 1);
    return p ? p[0] : 0;
}

static inline uint16_t aecodec_cursor_u16(aecodec_cursor *c) {
    const uint8_t *p = aecodec_cursor_take(c, 2);
    return p ? (uint16_t)aecodec_load16(p) : 0;
}

static inline uint32_t aecodec_cursor_u32(aecodec_cursor *c) {
    const uint8_t *p = aecodec_cursor_take(c, 4);
    return p ? aecodec_load32(p) : 0;
}

/* LEB128, at most 2^31 - 1, and canonical: the last byte is 0 only in the one-byte encoding of 0. */
static inline uint32_t aecodec_cursor_varint(aecodec_cursor *c) {
    size_t begin = c->offset;
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t byte = aecodec_cursor_u8(c);
        if (c->status != AECODEC_OK) break;
        uint32_t bits = byte & 127u;
        if (shift == 28 && bits > 7) break;
        value |= bits << shift;
        if (byte < 128) {
            if (byte == 0 && shift > 0) break;
            return value;
        }
    }
    if (c->status == AECODEC_OK) c->status = AECODEC_CORRUPT;
    c->offset = begin;
    return 0;
}

/* Writes value (at most 2^31 - 1) and returns the number of bytes, 1..5. */
static inline size_t aecodec_store_varint(uint8_t out[5], uint32_t value) {
    size_t n = 0;
    while (value >= 128) {
        out[n++] = (uint8_t)((value & 127u) | 128u);
        value >>= 7;
    }
    out[n++] = (uint8_t)value;
    return n;
}

#endif
