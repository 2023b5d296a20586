/* Fuzz target: u16 number of symbols, their indices, then a payload (decoding) and also, read as
 * symbols, something to encode. Both decoder paths must agree; what is encoded must come back. */
#include "aecodec.h"
#include "check.h"
#include "tables.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 8192 };

static aecodec_status decode(const aecodec_tables *tables, const uint8_t *payload, size_t size, aecodec_simd simd,
                             const uint8_t *index, size_t n, int16_t *out, size_t *where) {
    aecodec_decoder d;
    aecodec_status status = aecodec_decoder_init(&d, tables, payload, size, simd);
    if (status == AECODEC_OK) status = aecodec_decoder_decode(&d, index, out, n / 3);
    if (status == AECODEC_OK) status = aecodec_decoder_decode(&d, index + n / 3, out + n / 3, n - n / 3);
    if (status == AECODEC_OK) status = aecodec_decoder_finish(&d);
    *where = d.where;
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static aecodec_tables tables;
    static int16_t symbols[MOST], a[MOST], b[MOST];
    static uint8_t index[MOST], payload[6 * MOST + 200];
    size_t where_a, where_b, written;
    if (tables.n_rows == 0) CHECK(test_tables(&tables) == AECODEC_OK);
    if (size < 2) return 0;

    size_t n = ((size_t)data[0] | (size_t)data[1] << 8) % MOST, given = size - 2 < n ? size - 2 : n;
    memset(index, 0, sizeof index);
    memcpy(index, data + 2, given);
    const uint8_t *rest = data + 2 + given;
    size_t left = size - 2 - given;

    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    aecodec_status first = decode(&tables, rest, left, AECODEC_SIMD_NONE, index, n, a, &where_a);
    aecodec_status second = decode(&tables, rest, left, AECODEC_SIMD_AUTO, index, n, b, &where_b);
    CHECK(first == second && where_a == where_b && where_a <= left);
    CHECK(memcmp(a, b, sizeof a) == 0);

    for (size_t i = 0; i < n; i++) {
        index[i] = (uint8_t)(index[i] % TEST_ROWS);
        unsigned low = 2 * i < left ? rest[2 * i] : 0, high = 2 * i + 1 < left ? rest[2 * i + 1] : 0;
        symbols[i] = index[i] < TEST_SKIP ? 0 : (int16_t)((int)(low | high << 8) - 32768);
    }
    CHECK(aecodec_group_encode(&tables, symbols, index, n, data[0] % 7 - 1, payload, aecodec_group_bound(n),
                               &written, NULL) == AECODEC_OK);
    CHECK(decode(&tables, payload, written, AECODEC_SIMD_AUTO, index, n, a, &where_a) == AECODEC_OK);
    CHECK(memcmp(a, symbols, n * sizeof *a) == 0);
    return 0;
}
