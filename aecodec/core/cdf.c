/* Tables of a model -> tables ready for coding.
 *
 * A row is one distribution over 16 codes, given by its cumulative starts; the frequency of code c is
 * start[c + 1] - start[c], with start[16] = 2^15 understood. Everything the coder relies on is checked
 * here, once: every frequency is between 1 and 2^15 - 15. */
#include "aecodec.h"

#include <string.h>

aecodec_status aecodec_tables_init(aecodec_tables *tables, const uint16_t *rows, const uint8_t *shifts,
                                   size_t n_rows, unsigned skip, size_t *where) {
    const uint32_t total = 1u << AECODEC_PRECISION;
    size_t ignored;
    if (!where) where = &ignored;
    *where = 0;
    if (n_rows < 1 || n_rows > AECODEC_MAX_ROWS || skip > n_rows) return AECODEC_BAD_TABLES;

    memset(tables, 0, sizeof *tables);
    for (size_t r = 0; r < n_rows; r++) {
        const uint16_t *row = rows + r * AECODEC_ROW;
        *where = r;
        if (row[0] != 0 || shifts[r] > AECODEC_MAX_SHIFT) return AECODEC_BAD_TABLES;
        for (size_t c = 0; c < AECODEC_ROW; c++) {
            uint32_t start = row[c];
            uint32_t next = c + 1 < AECODEC_ROW ? row[c + 1] : total;
            if (start >= next || next > total) return AECODEC_BAD_TABLES;
            uint32_t freq = next - start;
            tables->start[r][c] = (int16_t)start;
            tables->entry[r][c] = start | freq << 16;
            tables->reciprocal[r][c] = freq == 1 ? 0xFFFFFFFFu : (uint32_t)(0x100000000u / freq);
        }
        tables->shift[r] = shifts[r];
    }
    tables->n_rows = (uint32_t)n_rows;
    tables->skip = skip;
    *where = 0;
    return AECODEC_OK;
}
