/* The context of z: what the neighbours that are already known say about a symbol.
 *
 * The positions of a group are coded in AECODEC_Z_PASSES passes, from a coarse grid to the finest:
 *
 *     0 4 2 4 0 4 2 4        0: both coordinates divisible by 4; no neighbours
 *     4 3 4 3 4 3 4 3        1: diagonal neighbours at distance 2
 *     2 4 1 4 2 4 1 4        2: direct neighbours at distance 2
 *     4 3 4 3 4 3 4 3        3: diagonal neighbours at distance 1
 *     0 4 2 4 0 4 2 4        4: direct neighbours at distance 1
 *
 * The neighbours' mean predicts the symbol, what is coded is the rest; their sizes choose its row.
 * docs/format.md, section 5.1. */
#include "rans.h"

#include <string.h>

#define SIZES AECODEC_Z_SIZES
#define Z_MAX 127

static const int8_t NEIGHBOURS[AECODEC_Z_PASSES][4][2] = {
    {{0, 0}, {0, 0}, {0, 0}, {0, 0}},
    {{-2, -2}, {-2, 2}, {2, -2}, {2, 2}},
    {{-2, 0}, {2, 0}, {0, -2}, {0, 2}},
    {{-1, -1}, {-1, 1}, {1, -1}, {1, 1}},
    {{-1, 0}, {1, 0}, {0, -1}, {0, 1}},
};

static unsigned pass_of(size_t row, size_t column) {
    if ((row + column) & 1) return 4;
    if (row & 1) return 3;
    if ((row + column) & 2) return 2;
    return row & 2 ? 1 : 0;
}

/* The neighbours of a position that lie inside -> how many, and their offsets from it. */
static int neighbours(unsigned pass, size_t row, size_t column, size_t height, size_t width, ptrdiff_t *offset) {
    int n = 0;
    for (int k = 0; pass && k < 4; k++) {
        ptrdiff_t i = (ptrdiff_t)row + NEIGHBOURS[pass][k][0], j = (ptrdiff_t)column + NEIGHBOURS[pass][k][1];
        if (i < 0 || j < 0 || i >= (ptrdiff_t)height || j >= (ptrdiff_t)width) continue;
        offset[n++] = NEIGHBOURS[pass][k][0] * (ptrdiff_t)width + NEIGHBOURS[pass][k][1];
    }
    return n;
}

/* floor(a / b) for b > 0. */
static int floor_div(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

/* Class of the neighbours' mean size (in twelfths), measured by the size that the row expects. */
static unsigned size_class(int size, unsigned expected) {
    static const uint8_t edges[SIZES - 1] = {1, 2, 3, 4, 6, 8}; /* quarters of it */
    unsigned found = 0;
    for (unsigned k = 0; k < SIZES - 1; k++) found += 64u * (unsigned)size >= expected * edges[k];
    return found;
}

/* The rows of a group's channels, copied, so that they stay those that were checked. */
typedef struct own_rows {
    uint8_t row[AECODEC_MAX_Z];
} own_rows;

static aecodec_status take_rows(const aecodec_z_context *context, const uint8_t *z_row, own_rows *own,
                                size_t *where) {
    *where = 0;
    if (context->channels < 1 || context->channels > AECODEC_MAX_Z) return AECODEC_BAD_ARGUMENT;
    for (size_t c = 0; c < context->channels; c++) {
        own->row[c] = z_row[c];
        *where = c;
        if (own->row[c] < context->lowest || own->row[c] >= context->n_rows) return AECODEC_BAD_INDEX;
    }
    return AECODEC_OK;
}

/* Rows and means of one position, in all channels. z, index and mean point to it in channel 0. */
static void at_position(const aecodec_z_context *context, const own_rows *own, const int16_t *z, size_t stride,
                        unsigned pass, int n, const ptrdiff_t *offset, uint8_t *index, int16_t *mean) {
    uint8_t class_of[AECODEC_MAX_Z];
    unsigned sum_of_classes = 0;
    for (size_t c = 0; c < context->channels; c++) {
        int sum = 0, size = 0;
        for (int k = 0; k < n; k++) {
            int value = z[(ptrdiff_t)(c * stride) + offset[k]];
            sum += value;
            size += value < 0 ? -value : value;
        }
        int weight = n ? context->weight[(size_t)(pass - 1) * context->channels + c] : 0;
        int scale = n ? 12 / n : 0;
        mean[c * stride] = (int16_t)floor_div(weight * sum * scale + 384, 768);
        unsigned found = size_class(size * scale, context->size[own->row[c] - context->lowest]);
        class_of[c] = (uint8_t)found;
        sum_of_classes += found;
    }
    unsigned activity = 0;
    for (unsigned k = 0; k < AECODEC_Z_ACTIVITIES - 1; k++) activity += sum_of_classes >= context->activity[k];
    if (n == 0) pass = 0;
    for (size_t c = 0; c < context->channels; c++) {
        int row = own->row[c] + context->step[pass][class_of[c]][activity];
        if (row < (int)context->lowest) row = (int)context->lowest;
        if (row >= (int)context->n_rows) row = (int)context->n_rows - 1;
        index[c * stride] = (uint8_t)row;
    }
}

/* Rows (0 outside the pass, which is never coded) and means of all positions of a pass. */
static void of_pass(const aecodec_z_context *context, const own_rows *own, const int16_t *z, size_t height,
                    size_t width, unsigned pass, uint8_t *index, int16_t *mean) {
    const size_t stride = height * width;
    memset(index, 0, context->channels * stride);
    memset(mean, 0, context->channels * stride * sizeof *mean);
    for (size_t row = 0; row < height; row++) {
        for (size_t column = 0; column < width; column++) {
            if (pass_of(row, column) != pass) continue;
            ptrdiff_t offset[4];
            int n = neighbours(pass, row, column, height, width, offset);
            size_t at = row * width + column;
            at_position(context, own, z + at, stride, pass, n, offset, index + at, mean + at);
        }
    }
}

aecodec_status aecodec_z_symbols(const aecodec_z_context *context, const uint8_t *z_row, const int16_t *z,
                                 size_t height, size_t width, int16_t *symbols, uint8_t *index, size_t *where) {
    own_rows own;
    aecodec_status status = take_rows(context, z_row, &own, where);
    if (status != AECODEC_OK) return status;
    const size_t count = context->channels * height * width;
    for (size_t i = 0; i < count; i++) {
        *where = i;
        if (z[i] > Z_MAX || z[i] < -Z_MAX) return AECODEC_BAD_ARGUMENT;
    }
    for (unsigned pass = 0; pass < AECODEC_Z_PASSES; pass++, symbols += count, index += count) {
        of_pass(context, &own, z, height, width, pass, index, symbols);
        for (size_t i = 0; i < count; i++) symbols[i] = (int16_t)(index[i] ? z[i] - symbols[i] : 0);
    }
    return AECODEC_OK;
}

aecodec_status aecodec_decoder_decode_z(aecodec_decoder *decoder, const aecodec_z_context *context,
                                        const uint8_t *z_row, size_t height, size_t width, int16_t *z,
                                        int16_t *mean, int16_t *rest, uint8_t *index) {
    own_rows own;
    size_t channel;
    aecodec_status status = take_rows(context, z_row, &own, &channel);
    if (status != AECODEC_OK) return aecodec_fail(decoder, status, decoder->word);
    const size_t count = context->channels * height * width;
    memset(z, 0, count * sizeof *z);
    for (unsigned pass = 0; pass < AECODEC_Z_PASSES; pass++) {
        of_pass(context, &own, z, height, width, pass, index, mean);
        status = aecodec_decoder_decode(decoder, index, rest, count);
        if (status != AECODEC_OK) return status;
        for (size_t i = 0; i < count; i++) {
            int value = z[i] + mean[i] + rest[i]; /* two of them are 0 outside the pass, one inside */
            if (value > Z_MAX || value < -Z_MAX) return aecodec_fail(decoder, AECODEC_CORRUPT, decoder->word);
            z[i] = (int16_t)value;
        }
    }
    return AECODEC_OK;
}
