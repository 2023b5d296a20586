/* The context of z: round trips on both paths, refusals, and corrupt payloads. */
#include "aecodec.h"
#include "check.h"
#include "tables.h"

#include <string.h>

enum { CHANNELS = 3, SIDE = 9, MOST = CHANNELS * SIDE * SIDE, RUNS = 5 };

static aecodec_tables tables;
static aecodec_z_context context;
static int16_t z[MOST], found[MOST], symbols[RUNS * MOST];
static uint8_t index_[RUNS * MOST];

static size_t encode(const uint8_t *z_row, size_t height, size_t width, uint8_t *payload, size_t capacity) {
    size_t size, where, count = RUNS * CHANNELS * height * width;
    CHECK(aecodec_z_symbols(&context, z_row, z, height, width, symbols, index_, &where) == AECODEC_OK);
    CHECK(aecodec_group_encode(&tables, symbols, index_, count, -1, payload, capacity, &size, NULL) == AECODEC_OK);
    return size;
}

static aecodec_status decode(const uint8_t *data, size_t size, aecodec_simd simd, const uint8_t *z_row,
                             size_t height, size_t width) {
    static int16_t mean[MOST], rest[MOST];
    static uint8_t scratch[MOST];
    aecodec_decoder d;
    memset(found, 0x55, sizeof found);
    aecodec_status status = aecodec_decoder_init(&d, &tables, data, size, simd);
    if (status != AECODEC_OK) return status;
    status = aecodec_decoder_decode_z(&d, &context, z_row, height, width, found, mean, rest, scratch);
    return status == AECODEC_OK ? aecodec_decoder_finish(&d) : status;
}

static void test_round_trips_and_damage(void) {
    static uint8_t payload[6 * RUNS * MOST + 200];
    uint32_t seed = 11;
    size_t failures = 0, tries = 0;
    for (size_t height = 1; height <= SIDE; height += 2) {
        for (size_t width = 1; width <= SIDE; width++) {
            uint8_t z_row[CHANNELS];
            for (size_t c = 0; c < CHANNELS; c++) {
                z_row[c] = (uint8_t)(TEST_Z_LOWEST + next_random(&seed) % (TEST_ROWS - TEST_Z_LOWEST));
            }
            size_t count = CHANNELS * height * width;
            uint32_t spread = 1 + next_random(&seed) % 127;
            for (size_t i = 0; i < count; i++) {
                z[i] = (int16_t)((int)(next_random(&seed) % (2 * spread + 1)) - (int)spread);
            }
            size_t size = encode(z_row, height, width, payload, sizeof payload);
            uint8_t *copy = exact_copy(payload, size);
            for (int simd = 0; simd <= (int)aecodec_simd_available(); simd++) {
                CHECK(decode(copy, size, (aecodec_simd)simd, z_row, height, width) == AECODEC_OK);
                CHECK(memcmp(found, z, count * sizeof *z) == 0);
            }
            for (size_t cut = 0; cut < size; cut++) {
                uint8_t *exact = exact_copy(copy, cut);
                CHECK(decode(exact, cut, AECODEC_SIMD_AUTO, z_row, height, width) != AECODEC_OK);
                free(exact);
            }
            for (size_t k = 0; k < 50; k++, tries++) {
                size_t at = next_random(&seed) % size;
                uint8_t bit = (uint8_t)(1u << next_random(&seed) % 8);
                copy[at] ^= bit;
                failures += decode(copy, size, AECODEC_SIMD_AUTO, z_row, height, width) != AECODEC_OK;
                copy[at] ^= bit;
            }
            free(copy);
        }
    }
    CHECK(failures > tries / 2);
}

static void test_refusals(void) {
    static uint8_t payload[6 * RUNS * MOST + 200];
    uint8_t z_row[CHANNELS] = {TEST_Z_LOWEST, TEST_ROWS - 1, TEST_Z_LOWEST};
    memset(z, 0, sizeof z);
    size_t where, size = encode(z_row, 2, 2, payload, sizeof payload);
    for (int value = 127; value <= 128; value++) {
        z[5] = (int16_t)-value;
        CHECK(aecodec_z_symbols(&context, z_row, z, 2, 2, symbols, index_, &where) ==
              (value > 127 ? AECODEC_BAD_ARGUMENT : AECODEC_OK));
        CHECK(value == 127 || where == 5);
    }
    z[5] = 0;
    for (int row = TEST_Z_LOWEST - 1; row <= TEST_ROWS; row += TEST_ROWS - TEST_Z_LOWEST + 1) {
        z_row[2] = (uint8_t)row;
        CHECK(aecodec_z_symbols(&context, z_row, z, 2, 2, symbols, index_, &where) == AECODEC_BAD_INDEX);
        CHECK(decode(payload, size, AECODEC_SIMD_NONE, z_row, 2, 2) == AECODEC_BAD_INDEX);
    }
    z_row[2] = TEST_Z_LOWEST;
    CHECK(aecodec_z_symbols(&context, z_row, z, 2, 2, symbols, index_, &where) == AECODEC_OK);
    symbols[0] = 128; /* the first symbol of the first run has no neighbours */
    CHECK(aecodec_group_encode(&tables, symbols, index_, RUNS * CHANNELS * 4, 0, payload, sizeof payload, &size,
                               NULL) == AECODEC_OK);
    CHECK(decode(payload, size, AECODEC_SIMD_NONE, z_row, 2, 2) == AECODEC_CORRUPT);
}

int main(void) {
    CHECK(test_tables(&tables) == AECODEC_OK);
    test_z_context(&context, CHANNELS);
    test_round_trips_and_damage();
    test_refusals();
    return 0;
}
