/* Fuzz target: u16 number of symbols, their indices, then a payload (decoding) and also, read as
 * symbols, something to encode. Both decoder paths must agree; what is encoded must come back, and
 * with one byte of it changed both paths must agree again: so damage reaches the end of a stream. */
#include "aecodec.h"
#include "check.h"
#include "tables.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 8192, Z_CHANNELS = 3, Z_MOST = Z_CHANNELS * 64 };

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

/* A payload read as the z of a group: the paths agree, and what is decoded can be coded again. */
static void check_z(const aecodec_tables *tables, const aecodec_z_context *context, const uint8_t *data,
                    size_t size) {
    static int16_t z[2][Z_MOST], mean[Z_MOST], rest[Z_MOST], symbols[AECODEC_Z_PASSES * Z_MOST];
    static uint8_t index[AECODEC_Z_PASSES * Z_MOST];
    aecodec_status status[2] = {AECODEC_OK, AECODEC_OK};
    size_t height = 1 + (data[0] & 7), width = 1 + (data[0] >> 3 & 7);
    uint8_t z_row[Z_CHANNELS];
    for (size_t c = 0; c < Z_CHANNELS; c++) z_row[c] = (uint8_t)(TEST_Z_LOWEST - 1 + data[1] % 17 + c);
    for (int k = 0; k < 2; k++) {
        aecodec_decoder d;
        memset(z[k], 0, sizeof z[k]);
        status[k] = aecodec_decoder_init(&d, tables, data + 2, size - 2, k ? AECODEC_SIMD_AUTO : AECODEC_SIMD_NONE);
        if (status[k] != AECODEC_OK) continue;
        status[k] = aecodec_decoder_decode_z(&d, context, z_row, height, width, z[k], mean, rest, index);
    }
    CHECK(status[0] == status[1] && memcmp(z[0], z[1], sizeof z[0]) == 0);
    if (status[0] != AECODEC_OK) return;
    size_t where, written, count = AECODEC_Z_PASSES * Z_CHANNELS * height * width;
    CHECK(aecodec_z_symbols(context, z_row, z[0], height, width, symbols, index, &where) == AECODEC_OK);
    uint8_t *payload = malloc(aecodec_group_bound(count));
    CHECK(payload);
    CHECK(aecodec_group_encode(tables, symbols, index, count, -1, payload, aecodec_group_bound(count), &written,
                               NULL) == AECODEC_OK);
    aecodec_decoder d;
    CHECK(aecodec_decoder_init(&d, tables, payload, written, AECODEC_SIMD_AUTO) == AECODEC_OK);
    CHECK(aecodec_decoder_decode_z(&d, context, z_row, height, width, z[1], mean, rest, index) == AECODEC_OK);
    CHECK(aecodec_decoder_finish(&d) == AECODEC_OK && memcmp(z[0], z[1], sizeof z[0]) == 0);
    free(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static aecodec_tables tables;
    static aecodec_z_context context;
    static int16_t symbols[MOST], decoded[MOST];
    static uint8_t index[MOST];
    if (tables.n_rows == 0) {
        CHECK(test_tables(&tables) == AECODEC_OK);
        test_z_context(&context, Z_CHANNELS);
    }
    if (size < 2) return 0;

    size_t n = ((size_t)data[0] | (size_t)data[1] << 8) % MOST;
    if (n > size - 2) n = size - 2;
    memcpy(index, data + 2, n);
    const uint8_t *rest = data + 2 + n;
    size_t left = size - 2 - n;
    (void)decode_twice(&tables, rest, left, index, n, decoded);
    if (left > 2) check_z(&tables, &context, rest, left);

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
