/* What WebAssembly adds to the C core: flat arguments where the core takes structs, and the
 * functions of the C library that it calls.
 *
 * Nothing allocates. The caller, src/core.js, owns all memory from __heap_base on and passes addresses
 * in it. Everything else that it calls is exported from the core as it is. */
#include "aecodec.h"

#include <string.h>

#define EXPORT(name) __attribute__((export_name(#name))) name

/* src/core.js reads arrays of these two as 32-bit words. */
_Static_assert(sizeof(aecodec_section) == 12, "tag, offset, size");
_Static_assert(sizeof(aecodec_group_entry) == 8, "size, crc");

/* With -mbulk-memory these builtins are single instructions, not calls. */
void *memcpy(void *restrict to, const void *restrict from, size_t size) {
    return __builtin_memcpy(to, from, size);
}

void *memmove(void *to, const void *from, size_t size) { return __builtin_memmove(to, from, size); }

void *memset(void *to, int value, size_t size) { return __builtin_memset(to, value, size); }

int memcmp(const void *a, const void *b, size_t size) {
    const uint8_t *p = a, *q = b;
    for (size_t i = 0; i < size; i++) {
        if (p[i] != q[i]) return p[i] < q[i] ? -1 : 1;
    }
    return 0;
}

size_t EXPORT(web_tables_size)(void) { return sizeof(aecodec_tables); }

size_t EXPORT(web_decoder_size)(void) { return sizeof(aecodec_decoder); }

/* Byte of the payload at which decoding failed. */
size_t EXPORT(web_decoder_where)(const aecodec_decoder *decoder) { return decoder->where; }

size_t EXPORT(web_z_context_size)(void) { return sizeof(aecodec_z_context); }

/* size and weight have to stay where they are for as long as the context is used. */
aecodec_status EXPORT(web_z_context_init)(aecodec_z_context *context, size_t channels, uint32_t lowest,
                                          uint32_t n_rows, const uint16_t *size, const int8_t *weight,
                                          const uint16_t activity[AECODEC_Z_ACTIVITIES - 1],
                                          const int8_t *step) {
    if (channels < 1 || channels > AECODEC_MAX_Z || lowest < 1 || lowest >= n_rows || n_rows > AECODEC_MAX_ROWS) return AECODEC_BAD_ARGUMENT;
    *context = (aecodec_z_context){
        .channels = channels, .lowest = lowest, .n_rows = n_rows, .size = size, .weight = weight};
    memcpy(context->activity, activity, sizeof context->activity);
    memcpy(context->step, step, sizeof context->step);
    return AECODEC_OK;
}

/* fields: version, flags, width, height, channels, bit depth, orientation, colour, quality, symbols CRC,
 * group edge, rows and columns of groups. */
aecodec_status EXPORT(web_header_read)(const uint8_t *data, size_t size, uint64_t max_pixels,
                                       uint32_t max_side, uint32_t max_groups, uint32_t fields[13],
                                       uint8_t model_id[8], size_t *where) {
    aecodec_limits limits = aecodec_limits_default();
    limits.max_pixels = max_pixels;
    limits.max_side = max_side;
    limits.max_groups = max_groups;
    aecodec_header h;
    aecodec_status status = aecodec_header_read(data, size, &h, where);
    if (status != AECODEC_OK) return status;
    *where = 10;
    status = aecodec_header_check(&h, &limits);
    if (status != AECODEC_OK) return status;
    uint64_t rows, columns; /* their product is at most max_groups, now */
    aecodec_group_grid(&h, &rows, &columns);
    const uint32_t found[13] = {h.version,     h.flags,  h.width,   h.height,      h.channels,
                                h.bit_depth,   h.orientation, h.colour, h.quality, h.symbols_crc,
                                h.group_edge, (uint32_t)rows, (uint32_t)columns};
    memcpy(fields, found, sizeof found);
    memcpy(model_id, h.model_id, sizeof h.model_id);
    return AECODEC_OK;
}

/* fields: the first eleven of web_header_read. */
aecodec_status EXPORT(web_header_write)(const uint32_t fields[11], const uint8_t model_id[8],
                                        uint8_t out[AECODEC_HEADER_SIZE]) {
    const uint32_t largest[11] = {255, 255, UINT32_MAX, UINT32_MAX, 255, 255, 255, 255, 65535, UINT32_MAX, 255};
    for (size_t i = 0; i < 11; i++) {
        if (fields[i] > largest[i]) return AECODEC_BAD_ARGUMENT;
    }
    aecodec_header h = {.version = (uint8_t)fields[0],
                        .flags = (uint8_t)fields[1],
                        .width = fields[2],
                        .height = fields[3],
                        .channels = (uint8_t)fields[4],
                        .bit_depth = (uint8_t)fields[5],
                        .orientation = (uint8_t)fields[6],
                        .colour = (uint8_t)fields[7],
                        .quality = (uint16_t)fields[8],
                        .symbols_crc = fields[9],
                        .group_edge = (uint8_t)fields[10]};
    memcpy(h.model_id, model_id, sizeof h.model_id);
    return aecodec_header_write(&h, out);
}

/* sections: room for `capacity` of 12 bytes each. */
aecodec_status EXPORT(web_sections_read)(const uint8_t *data, size_t size, uint32_t max_sections,
                                         uint32_t max_section_size, int unread_gdat, aecodec_section *sections,
                                         size_t capacity, size_t *count, size_t *where) {
    aecodec_limits limits = aecodec_limits_default();
    limits.max_sections = max_sections;
    limits.max_section_size = max_section_size;
    unsigned options = unread_gdat ? AECODEC_UNREAD_GDAT : 0u;
    return aecodec_sections_read(data, size, AECODEC_HEADER_SIZE, &limits, options, sections, capacity, count,
                                 where);
}
