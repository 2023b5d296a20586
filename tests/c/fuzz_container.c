/* Fuzz target: the bytes are a whole file. What is accepted must be consistent with itself. */
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
    (void)aecodec_sections_check(&header, sections, count);
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
    walk(data, size, AECODEC_SALVAGE);
    return 0;
}
