/* Fuzz target: the bytes are a whole file. What is accepted must be consistent with itself.
 *
 * Under libFuzzer most mutations get checksums that fit again: without them nothing would be found behind
 * the first checksum. */
#include "aecodec.h"
#include "check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const uint8_t *data, size_t size, unsigned options) {
    aecodec_header header;
    aecodec_limits limits = aecodec_limits_default();
    aecodec_section sections[64];
    aecodec_group_entry entries[256];
    uint8_t bytes[AECODEC_HEADER_SIZE];
    size_t count, where;
    uint64_t rows, columns, total;

    size_t begin = 0;
    if (aecodec_header_read(data, size, &header, &where) == AECODEC_OK) {
        CHECK(aecodec_header_write(&header, bytes) == AECODEC_OK && memcmp(bytes, data, sizeof bytes) == 0);
        begin = AECODEC_HEADER_SIZE;
    } else {
        memset(&header, 0, sizeof header);
        header.group_edge = 32;
        header.width = header.height = 1;
    }
    CHECK(where <= size || begin);
    if (aecodec_header_check(&header, &limits) != AECODEC_OK) return;
    aecodec_status status = aecodec_sections_read(data, size, begin, &limits, options, sections, 64, &count, &where);
    CHECK(where <= size);
    if (status != AECODEC_OK) return;
    CHECK(count >= 2);
    for (size_t i = 0; i < count; i++) {
        CHECK(sections[i].offset <= size);
        if (!options) CHECK(sections[i].size + 4 <= size - sections[i].offset);
    }
    const aecodec_section *index = &sections[count - 2];
    aecodec_group_grid(&header, &rows, &columns);
    if (rows * columns > 256) return;
    if (aecodec_group_index_read(data + index->offset, index->size, entries, (size_t)(rows * columns), &total,
                                 &where) == AECODEC_OK) {
        uint8_t *again = malloc(index->size ? index->size : 1);
        size_t written;
        CHECK(again);
        CHECK(aecodec_group_index_write(entries, (size_t)(rows * columns), again, index->size, &written) ==
              AECODEC_OK);
        CHECK(written == index->size && memcmp(again, data + index->offset, written) == 0);
        free(again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    walk(data, size, 0);
    walk(data, size, AECODEC_UNREAD_GDAT);
    return 0;
}

#ifdef AECODEC_LIBFUZZER
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static void store32(uint8_t *out, uint32_t value) {
    for (int i = 0; i < 4; i++) out[i] = (uint8_t)(value >> 8 * i);
}

/* The header's checksum, then those of all sections that lie within the bytes. */
static void repair(uint8_t *data, size_t size) {
    size_t at = 0;
    if (size >= AECODEC_HEADER_SIZE && data[0] == 0x89) {
        store32(data + AECODEC_HEADER_SIZE - 4, aecodec_crc32c(0, data, AECODEC_HEADER_SIZE - 4));
        at = AECODEC_HEADER_SIZE;
    }
    while (size - at > 8) {
        size_t begin = at, payload = 0;
        at += 4;
        for (unsigned shift = 0; shift < 35 && at < size; shift += 7) {
            payload |= (size_t)(data[at] & 127) << shift;
            if (data[at++] < 128) break;
        }
        if (size - at < 4 || size - at - 4 < payload) return;
        at += payload;
        store32(data + at, aecodec_crc32c(0, data + begin, at - begin));
        at += 4;
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    size = LLVMFuzzerMutate(data, size, max_size);
    if (seed % 8 != 0) repair(data, size);
    return size;
}
#endif
