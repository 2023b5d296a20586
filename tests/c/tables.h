/* Small fixed tables for the coder's tests and fuzz target. */
#ifndef AECODEC_TEST_TABLES_H
#define AECODEC_TEST_TABLES_H

#include "aecodec.h"

enum { TEST_ROWS = 20, TEST_SKIP = 3, TEST_Z_LOWEST = 5, TEST_Z_CHANNELS = 8 };

/* Row r: code c has a weight that falls faster in early rows; rows 12.. have shifts up to 10. */
static inline aecodec_status test_tables(aecodec_tables *tables) {
    uint16_t rows[TEST_ROWS * 16];
    uint8_t shifts[TEST_ROWS];
    for (unsigned r = 0; r < TEST_ROWS; r++) {
        uint32_t freq[16], sum = 0;
        for (unsigned c = 0; c < 16; c++) {
            unsigned fall = c * (TEST_ROWS - r) / 8;
            freq[c] = 1 + (fall < 16 ? 16000u >> fall : 0);
            sum += freq[c];
        }
        uint32_t start = 0;
        for (unsigned c = 0; c < 16; c++) {
            rows[r * 16 + c] = (uint16_t)start;
            start += 1 + (uint32_t)((uint64_t)(freq[c] - 1) * (32768 - 16) / sum);
        }
        shifts[r] = (uint8_t)(r < 12 ? 0 : r - 9 > 10 ? 10 : r - 9);
    }
    return aecodec_tables_init(tables, rows, shifts, TEST_ROWS, TEST_SKIP, NULL);
}

/* A context of z with all kinds of weights and steps; channels is at most TEST_Z_CHANNELS. */
static inline void test_z_context(aecodec_z_context *context, size_t channels) {
    static uint16_t size[TEST_ROWS - TEST_Z_LOWEST];
    static int8_t weight[(AECODEC_Z_PASSES - 1) * TEST_Z_CHANNELS];
    for (unsigned r = 0; r < TEST_ROWS - TEST_Z_LOWEST; r++) size[r] = (uint16_t)(1u << r % 16);
    for (unsigned k = 0; k < sizeof weight; k++) weight[k] = (int8_t)((int)(k * 89 % 256) - 128);
    *context = (aecodec_z_context){.channels = channels,
                                   .lowest = TEST_Z_LOWEST,
                                   .n_rows = TEST_ROWS,
                                   .size = size,
                                   .weight = weight,
                                   .activity = {1, 3, 6, 12}};
    int8_t *step = &context->step[0][0][0];
    for (unsigned k = 0; k < sizeof context->step; k++) step[k] = (int8_t)((int)(k * 37 % 41) - 20);
}

#endif
