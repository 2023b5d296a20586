/* What follows the fixed header: sections, and the group index inside GIDX.
 *
 *   tag[4]  varint size  payload[size]  crc32c(tag, size bytes, payload)
 *
 * A section walk never trusts a size: it is compared with the limits first and the rest of the file
 * second, so nothing has to be allocated to refuse a file. */
#include "aecodec.h"
#include "cursor.h"

#include <string.h>

static int tag_is(const char tag[4], const char *name) { return memcmp(tag, name, 4) == 0; }

static int tag_valid(const char tag[4]) {
    for (int i = 0; i < 4; i++) {
        char letter = (char)(tag[i] | 0x20);
        if (letter < 'a' || letter > 'z') return 0;
    }
    return 1;
}

static int tag_required(const char tag[4]) { return tag[0] >= 'A' && tag[0] <= 'Z'; }

/* Of the required ones. */
static int tag_known(const char tag[4]) {
    return tag_is(tag, "ALPH") || tag_is(tag, "ALPC") || tag_is(tag, "BLOK") || tag_is(tag, "GIDX") ||
           tag_is(tag, "GDAT");
}

static int tag_seen(const char tag[4], const aecodec_section *sections, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (tag_is(tag, sections[i].tag)) return 1;
    }
    return 0;
}

/* GIDX directly before GDAT, GDAT last, everything else before both. */
static aecodec_status check_order(const char tag[4], const aecodec_section *sections, size_t count) {
    const char *before = count ? sections[count - 1].tag : "none";
    if (tag_is(before, "GDAT")) return AECODEC_TRAILING_DATA;
    return tag_is(before, "GIDX") == tag_is(tag, "GDAT") ? AECODEC_OK : AECODEC_BAD_ORDER;
}

/* One section at the cursor. On failure *where is the offset of what is wrong. */
static aecodec_status read_section(aecodec_cursor *c, const aecodec_limits *limits, unsigned options,
                                   aecodec_section *section, size_t *where) {
    size_t begin = c->offset;
    *where = begin;
    const uint8_t *tag = aecodec_cursor_take(c, 4);
    if (!tag) return c->status;
    memcpy(section->tag, tag, 4);
    if (!tag_valid(section->tag)) return AECODEC_CORRUPT;

    *where = c->offset;
    section->size = aecodec_cursor_varint(c);
    if (c->status != AECODEC_OK) return c->status;
    if (section->size > limits->max_section_size) return AECODEC_LIMIT;

    section->offset = c->offset;
    int unread = (options & AECODEC_UNREAD_GDAT) != 0 && tag_is(section->tag, "GDAT");
    size_t left = aecodec_cursor_left(c);
    if (left < 4 || left - 4 < section->size) {
        *where = c->size;
        if (!unread) return AECODEC_TRUNCATED;
        c->offset = c->size;
        return AECODEC_OK;
    }
    if (unread) { /* of a mapped file, only what is looked at is read */
        c->offset += section->size + 4;
        return AECODEC_OK;
    }
    const uint8_t *payload = aecodec_cursor_take(c, section->size);
    size_t covered = c->offset - begin;
    *where = c->offset;
    uint32_t crc = aecodec_cursor_u32(c);
    if (!payload) return c->status; /* cannot happen: the size was compared with what is left */
    if (crc != aecodec_crc32c(0, c->data + begin, covered)) return AECODEC_BAD_CRC;
    return AECODEC_OK;
}

aecodec_status aecodec_sections_read(const uint8_t *data, size_t size, size_t offset,
                                     const aecodec_limits *limits, unsigned options,
                                     aecodec_section *sections, size_t capacity, size_t *count,
                                     size_t *where) {
    size_t ignored;
    if (!where) where = &ignored;
    *count = 0;
    *where = size;
    aecodec_cursor c = aecodec_cursor_at(data, size, offset);
    if (c.status != AECODEC_OK) return c.status;

    while (c.offset < c.size) {
        size_t begin = c.offset;
        *where = begin;
        if (*count && tag_is(sections[*count - 1].tag, "GDAT")) return AECODEC_TRAILING_DATA;
        if (*count >= limits->max_sections) return AECODEC_LIMIT;
        if (*count >= capacity) return AECODEC_NO_SPACE;
        aecodec_section *section = &sections[*count];
        aecodec_status status = read_section(&c, limits, options, section, where);
        if (status != AECODEC_OK) return status;

        *where = begin;
        if (tag_seen(section->tag, sections, *count)) return AECODEC_DUPLICATE_SECTION;
        status = check_order(section->tag, sections, *count);
        if (status != AECODEC_OK) return status;
        if (tag_required(section->tag) && !tag_known(section->tag)) return AECODEC_UNSUPPORTED;
        ++*count;
    }
    *where = c.offset;
    /* A file that stops between two sections, before GDAT, is a file cut short. */
    return tag_seen("GDAT", sections, *count) ? AECODEC_OK : AECODEC_TRUNCATED;
}

aecodec_status aecodec_section_frame(const char tag[4], const uint8_t *payload, size_t size,
                                     uint8_t head[9], size_t *head_size, uint8_t tail[4]) {
    if (!tag_valid(tag) || size > AECODEC_MAX_SECTION) return AECODEC_BAD_ARGUMENT;
    memcpy(head, tag, 4);
    *head_size = 4 + aecodec_store_varint(head + 4, (uint32_t)size);
    uint32_t crc = aecodec_crc32c(aecodec_crc32c(0, head, *head_size), payload, size);
    aecodec_store32(tail, crc);
    return AECODEC_OK;
}

aecodec_status aecodec_group_index_read(const uint8_t *payload, size_t size, aecodec_group_entry *entries,
                                        size_t n_groups, uint64_t *total, size_t *where) {
    aecodec_cursor c = aecodec_cursor_at(payload, size, 0);
    size_t ignored;
    if (!where) where = &ignored;
    *total = 0;
    for (size_t g = 0; g < n_groups; g++) {
        entries[g].size = aecodec_cursor_varint(&c);
        entries[g].crc = aecodec_cursor_u32(&c);
        if (c.status != AECODEC_OK) {
            *where = c.offset;
            return c.status;
        }
        *total += entries[g].size;
    }
    *where = c.offset;
    return c.offset == size ? AECODEC_OK : AECODEC_TRAILING_DATA;
}

aecodec_status aecodec_group_index_write(const aecodec_group_entry *entries, size_t n_groups, uint8_t *out,
                                         size_t capacity, size_t *written) {
    size_t n = 0;
    for (size_t g = 0; g < n_groups; g++) {
        uint8_t size[5];
        if (entries[g].size > AECODEC_MAX_SECTION) return AECODEC_BAD_ARGUMENT;
        size_t bytes = aecodec_store_varint(size, entries[g].size);
        if (capacity - n < bytes + 4) return AECODEC_NO_SPACE;
        memcpy(out + n, size, bytes);
        aecodec_store32(out + n + bytes, entries[g].crc);
        n += bytes + 4;
    }
    *written = n;
    return AECODEC_OK;
}
