/* The fixed header: 41 bytes <-> aecodec_header, its checks, and the limits on what it announces. */
#include "aecodec.h"
#include "cursor.h"

#include <string.h>

static const uint8_t magic[8] = {0x89, 'A', 'E', 'C', '\r', '\n', 0x1A, '\n'};

aecodec_limits aecodec_limits_default(void) {
    aecodec_limits limits = {
        .max_pixels = (uint64_t)1 << 28,
        .max_side = 65535u * 4u,
        .max_sections = 64,
        .max_section_size = (uint32_t)1 << 30,
        .max_groups = (uint32_t)1 << 16,
    };
    return limits;
}

/* UNSUPPORTED: a later encoder might mean something by it. CORRUPT: nobody can. */
static aecodec_status check_fields(const aecodec_header *h, size_t *where) {
    const struct {
        int ok;
        aecodec_status status;
        size_t offset;
    } checks[] = {
        {(h->flags & ~AECODEC_FLAG_ALPHA) == 0, AECODEC_UNSUPPORTED, 9},
        {h->width >= 1 && h->width <= AECODEC_MAX_SIDE, AECODEC_CORRUPT, 10},
        {h->height >= 1 && h->height <= AECODEC_MAX_SIDE, AECODEC_CORRUPT, 14},
        {h->channels == 1 || h->channels == 3, AECODEC_UNSUPPORTED, 18},
        {h->bit_depth == 8 || h->bit_depth == 16, AECODEC_UNSUPPORTED, 19},
        {h->orientation >= 1 && h->orientation <= 8, AECODEC_CORRUPT, 20},
        {h->colour <= 1, AECODEC_UNSUPPORTED, 21},
        {h->quality <= AECODEC_MAX_QUALITY, AECODEC_CORRUPT, 22},
        {h->group_edge >= 4 && h->group_edge <= 64 && h->group_edge % 4 == 0, AECODEC_CORRUPT, 36},
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        if (!checks[i].ok) {
            *where = checks[i].offset;
            return checks[i].status;
        }
    }
    return AECODEC_OK;
}

aecodec_status aecodec_header_read(const uint8_t *data, size_t size, aecodec_header *header, size_t *where) {
    size_t ignored;
    if (!where) where = &ignored;
    *where = 0;
    size_t known = size < sizeof magic ? size : sizeof magic;
    if (known == 0 || memcmp(data, magic, known) != 0) return AECODEC_NOT_AEC;

    aecodec_cursor c = aecodec_cursor_at(data, size, known);
    header->version = aecodec_cursor_u8(&c);
    if (c.status == AECODEC_OK && header->version != AECODEC_FORMAT_VERSION) {
        *where = 8; /* before the CRC: another version may have another header */
        return AECODEC_BAD_VERSION;
    }
    header->flags = aecodec_cursor_u8(&c);
    header->width = aecodec_cursor_u32(&c);
    header->height = aecodec_cursor_u32(&c);
    header->channels = aecodec_cursor_u8(&c);
    header->bit_depth = aecodec_cursor_u8(&c);
    header->orientation = aecodec_cursor_u8(&c);
    header->colour = aecodec_cursor_u8(&c);
    header->quality = aecodec_cursor_u16(&c);
    const uint8_t *id = aecodec_cursor_take(&c, sizeof header->model_id);
    if (id) memcpy(header->model_id, id, sizeof header->model_id);
    header->symbols_crc = aecodec_cursor_u32(&c);
    header->group_edge = aecodec_cursor_u8(&c);
    uint32_t crc = aecodec_cursor_u32(&c);
    if (c.status != AECODEC_OK) {
        *where = size;
        return c.status;
    }
    if (crc != aecodec_crc32c(0, data, AECODEC_HEADER_SIZE - 4)) {
        *where = AECODEC_HEADER_SIZE - 4;
        return AECODEC_BAD_CRC;
    }
    return check_fields(header, where);
}

aecodec_status aecodec_header_write(const aecodec_header *header, uint8_t out[AECODEC_HEADER_SIZE]) {
    size_t where;
    if (header->version != AECODEC_FORMAT_VERSION) return AECODEC_BAD_ARGUMENT;
    if (check_fields(header, &where) != AECODEC_OK) return AECODEC_BAD_ARGUMENT;
    memcpy(out, magic, sizeof magic);
    out[8] = header->version;
    out[9] = header->flags;
    aecodec_store32(out + 10, header->width);
    aecodec_store32(out + 14, header->height);
    out[18] = header->channels;
    out[19] = header->bit_depth;
    out[20] = header->orientation;
    out[21] = header->colour;
    aecodec_store16(out + 22, header->quality);
    memcpy(out + 24, header->model_id, sizeof header->model_id);
    aecodec_store32(out + 32, header->symbols_crc);
    out[36] = header->group_edge;
    aecodec_store32(out + 37, aecodec_crc32c(0, out, AECODEC_HEADER_SIZE - 4));
    return AECODEC_OK;
}

void aecodec_group_grid(const aecodec_header *header, uint64_t *rows, uint64_t *columns) {
    uint64_t edge = header->group_edge;
    uint64_t down = ((uint64_t)header->height + 63) / 64 * 4;
    uint64_t across = ((uint64_t)header->width + 63) / 64 * 4;
    *rows = (down + edge - 1) / edge;
    *columns = (across + edge - 1) / edge;
}

aecodec_status aecodec_header_check(const aecodec_header *header, const aecodec_limits *limits) {
    uint64_t rows, columns;
    if (header->width > limits->max_side || header->height > limits->max_side) return AECODEC_LIMIT;
    if ((uint64_t)header->width * header->height > limits->max_pixels) return AECODEC_LIMIT;
    aecodec_group_grid(header, &rows, &columns);
    return rows * columns > limits->max_groups ? AECODEC_LIMIT : AECODEC_OK;
}
