/* Fuzz target: u16 number of symbols, their indices, then a payload (decoding) and also, read as
 * symbols, something to encode. Both decoder paths must agree; what is encoded must come back, and
 * with one byte of it changed both paths must agree again: so damage reaches the end of a stream. */
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

/* What both paths make of a payload; equal in every respect. */
static aecodec_status decode_twice(const aecodec_tables *tables, const uint8_t *payload, size_t size,
                                   const uint8_t *index, size_t n, int16_t *out) {
    static int16_t other[MOST];
    size_t where, where_other;
    memset(out, 0, n * sizeof *out);
    memset(other, 0, n * sizeof *other);
    aecodec_status status = decode(tables, payload, size, AECODEC_SIMD_NONE, index, n, out, &where);
    CHECK(status == decode(tables, payload, size, AECODEC_SIMD_AUTO, index, n, other, &where_other));
    CHECK(where == where_other && where <= size);
    CHECK(memcmp(out, other, n * sizeof *out) == 0);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static aecodec_tables tables;
    static int16_t symbols[MOST], decoded[MOST];
    static uint8_t index[MOST];
    if (tables.n_rows == 0) CHECK(test_tables(&tables) == AECODEC_OK);
    if (size < 2) return 0;

    size_t n = ((size_t)data[0] | (size_t)data[1] << 8) % MOST;
    if (n > size - 2) n = size - 2;
    memcpy(index, data + 2, n);
    const uint8_t *rest = data + 2 + n;
    size_t left = size - 2 - n;
    (void)decode_twice(&tables, rest, left, index, n, decoded);

    for (size_t i = 0; i < n; i++) {
        index[i] = (uint8_t)(index[i] % TEST_ROWS);
        unsigned low = 2 * i < left ? rest[2 * i] : 0, high = 2 * i + 1 < left ? rest[2 * i + 1] : 0;
        symbols[i] = index[i] < TEST_SKIP ? 0 : (int16_t)((int)(low | high << 8) - 32768);
    }
    size_t bound = aecodec_group_bound(n), written;
    uint8_t *payload = malloc(bound);
    CHECK(payload);
    CHECK(aecodec_group_encode(&tables, symbols, index, n, data[0] % 7 - 1, payload, bound, &written, NULL) ==
          AECODEC_OK);
    uint8_t *exact = exact_copy(payload, written);
    free(payload);
    CHECK(decode_twice(&tables, exact, written, index, n, decoded) == AECODEC_OK);
    CHECK(memcmp(decoded, symbols, n * sizeof *decoded) == 0);

    exact[(data[size - 1] | (size_t)data[size / 2] << 8) % written] ^= (uint8_t)(1u << (data[size - 1] & 7));
    (void)decode_twice(&tables, exact, written, index, n, decoded);
    free(exact);
    return 0;
}
