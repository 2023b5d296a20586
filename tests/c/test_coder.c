/* The coder: exact bytes, round trips at every lane count on both paths, and corrupt payloads. */
#include "aecodec.h"
#include "check.h"
#include "tables.h"

#include <string.h>

enum { MANY = 20000 };

static aecodec_tables tables;
static int16_t symbols[MANY], out[MANY], out_scalar[MANY];
static uint8_t index_[MANY], payload[6 * MANY + 200];

/* share: percent of symbols that are coded. extreme: also values far outside the rows, and rows with a
 * shift; without it there are no raw bits, so the words are the last bytes of the payload. */
static void fill(size_t n, unsigned share, int extreme, uint32_t seed) {
    static const int16_t edges[] = {-32768, -32767, 32767, -8, -7, 7, 8, 512, -513, 0};
    const unsigned rows = (extreme ? TEST_ROWS : 12u) - TEST_SKIP;
    for (size_t i = 0; i < n; i++) {
        uint32_t r = next_random(&seed);
        index_[i] = (uint8_t)(r % 100 < share ? TEST_SKIP + (r >> 8) % rows : r % TEST_SKIP);
        if (index_[i] < TEST_SKIP) {
            symbols[i] = 0;
        } else if (extreme && next_random(&seed) % 3 == 0) {
            symbols[i] = edges[next_random(&seed) % 10];
        } else {
            symbols[i] = (int16_t)((int)(next_random(&seed) % 9) - 4);
        }
    }
}

/* Decodes in three calls; returns the first failure. */
static aecodec_status decode(const uint8_t *data, size_t size, aecodec_simd simd, size_t n, int16_t *to,
                             size_t *where) {
    aecodec_decoder d;
    aecodec_status status = aecodec_decoder_init(&d, &tables, data, size, simd);
    size_t a = n / 7, b = n / 2;
    if (status == AECODEC_OK) status = aecodec_decoder_decode(&d, index_, to, a);
    if (status == AECODEC_OK) status = aecodec_decoder_decode(&d, index_ + a, to + a, b - a);
    if (status == AECODEC_OK) status = aecodec_decoder_decode(&d, index_ + b, to + b, n - b);
    if (status == AECODEC_OK) status = aecodec_decoder_finish(&d);
    *where = d.where;
    return status;
}

static size_t encode(size_t n, int lanes_log2) {
    size_t size;
    CHECK(aecodec_group_bound(n) <= sizeof payload);
    CHECK(aecodec_group_encode(&tables, symbols, index_, n, lanes_log2, payload, aecodec_group_bound(n), &size,
                               NULL) == AECODEC_OK);
    return size;
}

/* The bytes come from tests/reference_coder.py, which shares no code with the library. */
static void test_exact_bytes(void) {
    static const int16_t values[] = {0, 1, -1, 7, -7, 8, -8, 100, -32768, 32767, 0, 5};
    static const uint8_t rows[] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 2, 19};
    static const uint8_t one_lane[] = {
        0x08, 0x0b, 0xd2, 0xb8, 0x7f, 0x13, 0xe8, 0xff, 0xf1, 0xff, 0xe8, 0xff, 0xfa, 0x7f,
        0xf8, 0x7f, 0x0d, 0xec, 0x00, 0x00, 0xf3, 0xff, 0x00, 0x98, 0x7f, 0x2b, 0x10};
    static const uint8_t two_lanes[] = {
        0x09, 0x0b, 0xb5, 0xde, 0x73, 0x0c, 0xed, 0xe0, 0x01, 0x00, 0xe5, 0xff, 0xfe, 0x7f, 0xfe, 0x7f,
        0xf8, 0xff, 0xf8, 0x7f, 0x0d, 0xec, 0x00, 0x00, 0xf3, 0xff, 0x00, 0x98, 0x7f, 0x2b, 0x10};
    memcpy(symbols, values, sizeof values);
    memcpy(index_, rows, sizeof rows);
    for (int lanes = 0; lanes < 2; lanes++) {
        const uint8_t *expected = lanes ? two_lanes : one_lane;
        size_t expected_size = lanes ? sizeof two_lanes : sizeof one_lane;
        size_t n = encode(sizeof rows, lanes);
        if (n != expected_size || memcmp(payload, expected, n) != 0) {
            for (size_t i = 0; i < n; i++) fprintf(stderr, "0x%02x, ", payload[i]);
            fprintf(stderr, "\n");
        }
        CHECK(n == expected_size && memcmp(payload, expected, n) == 0);
    }
    size_t n = encode(0, -1); /* nothing at all: byte 0 and one state at its start */
    CHECK(n == 5 && memcmp(payload, "\0\0\0\1\0", 5) == 0);
}

static void test_round_trips(void) {
    static const size_t sizes[] = {0, 1, 7, 8, 31, 33, 1023, 1024, 1025, 5000, MANY};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        for (int lanes = -1; lanes <= 5; lanes++) {
            for (unsigned share = 0; share <= 100; share += 25) {
                size_t n = sizes[k], where;
                fill(n, share, share % 50 == 0, (uint32_t)(k * 100 + share + 1));
                size_t size = encode(n, lanes);
                uint8_t *copy = exact_copy(payload, size);
                for (int simd = 0; simd <= (int)aecodec_simd_available(); simd++) {
                    memset(out, 0x55, sizeof out);
                    CHECK(decode(copy, size, (aecodec_simd)simd, n, out, &where) == AECODEC_OK);
                    CHECK(memcmp(out, symbols, n * sizeof *out) == 0);
                }
                free(copy);
            }
        }
    }
}

/* Cuts and changed bytes: both paths give the same status, place and symbols. Returns how many fail. */
static size_t damage(size_t n, int lanes, uint32_t seed) {
    size_t failures = 0;
    size_t size = encode(n, lanes);
    for (size_t i = 0; i < 400; i++) {
        size_t cut = size, where[2];
        uint8_t *copy = exact_copy(payload, size);
        if (i % 2) {
            cut = next_random(&seed) % size;
        } else {
            copy[i < 100 ? i / 2 % size : next_random(&seed) % size] ^= (uint8_t)(1u << next_random(&seed) % 8);
        }
        uint8_t *exact = exact_copy(copy, cut);
        memset(out, 0, sizeof out);
        memset(out_scalar, 0, sizeof out_scalar);
        aecodec_status scalar = decode(exact, cut, AECODEC_SIMD_NONE, n, out_scalar, &where[0]);
        aecodec_status best = decode(exact, cut, AECODEC_SIMD_AUTO, n, out, &where[1]);
        CHECK(scalar == best && where[0] == where[1]);
        CHECK(memcmp(out, out_scalar, sizeof out) == 0);
        if (i % 2) CHECK(scalar != AECODEC_OK);
        failures += scalar != AECODEC_OK;
        free(exact);
        free(copy);
    }
    return failures;
}

static void test_damage(void) {
    for (int lanes = 0; lanes <= 5; lanes++) {
        fill(3000, 60, lanes % 2, 77);
        CHECK(damage(3000, lanes, 99) >= 300);
    }
}

static void test_refusals(void) {
    aecodec_decoder d;
    size_t where, size;
    static const struct {
        uint8_t data[8];
        size_t size;
        aecodec_status status;
    } heads[] = {
        {{0}, 0, AECODEC_TRUNCATED},
        {{6, 0, 0, 1, 0}, 5, AECODEC_CORRUPT},        /* 64 lanes */
        {{16, 0, 0, 1, 0}, 5, AECODEC_CORRUPT},       /* a reserved bit */
        {{8, 0, 0, 0, 1, 0}, 6, AECODEC_CORRUPT},     /* raw bits of size 0 */
        {{8, 1, 0, 0, 1, 0}, 6, AECODEC_TRUNCATED},   /* raw bits that are not there */
        {{0, 255, 255, 0, 0}, 5, AECODEC_CORRUPT},    /* a state below 2^16 */
        {{0, 0, 0, 1, 0, 9}, 6, AECODEC_CORRUPT},     /* half a word */
        {{0, 0, 0, 1, 0}, 5, AECODEC_OK},
        {{0, 1, 0, 1, 0, 0, 0}, 5, AECODEC_OK},       /* a state that is not at its end: finish */
        {{0, 0, 0, 1, 0, 9, 9}, 7, AECODEC_OK},       /* a word too many: seen by finish */
        {{8, 1, 0, 0, 1, 0, 0}, 7, AECODEC_OK},       /* a raw byte too many: seen by finish */
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        uint8_t *copy = exact_copy(heads[i].data, heads[i].size);
        CHECK(aecodec_decoder_init(&d, &tables, copy, heads[i].size, AECODEC_SIMD_NONE) == heads[i].status);
        if (heads[i].status == AECODEC_OK) {
            int whole = heads[i].size == 5 && heads[i].data[1] == 0;
            CHECK(aecodec_decoder_finish(&d) == (whole ? AECODEC_OK : AECODEC_CORRUPT));
        }
        free(copy);
    }
    symbols[0] = 1;
    index_[0] = TEST_SKIP - 1;
    CHECK(aecodec_group_encode(&tables, symbols, index_, 1, 0, payload, 99, &size, &where) == AECODEC_BAD_SYMBOL);
    index_[0] = TEST_ROWS;
    CHECK(aecodec_group_encode(&tables, symbols, index_, 1, 0, payload, 99, &size, &where) == AECODEC_BAD_INDEX);
    index_[0] = TEST_SKIP;
    CHECK(aecodec_group_encode(&tables, symbols, index_, 1, 6, payload, 999, &size, &where) ==
          AECODEC_BAD_ARGUMENT);
    size = encode(1, 0);
    index_[0] = TEST_ROWS;
    for (int simd = 0; simd <= (int)aecodec_simd_available(); simd++) {
        CHECK(decode(payload, size, (aecodec_simd)simd, 1, out, &where) == AECODEC_BAD_INDEX);
    }
    CHECK(aecodec_decoder_init(&d, &tables, payload, size, (aecodec_simd)2) == AECODEC_BAD_ARGUMENT);

    /* Every capacity below the need is refused without a write outside. */
    fill(300, 80, 1, 5);
    size = encode(300, 2);
    for (size_t room = 0; room < size; room++) {
        size_t written;
        uint8_t *small = malloc(room ? room : 1);
        CHECK(small);
        CHECK(aecodec_group_encode(&tables, symbols, index_, 300, 2, small, room, &written, NULL) ==
              AECODEC_NO_SPACE);
        free(small);
    }
}

/* One escape whose raw bits are replaced. */
static void test_raw_bits(void) {
    static const struct {
        uint8_t raw[5];
        size_t size;
        aecodec_status status;
        int16_t symbol;
    } cases[] = {
        {{0x01}, 1, AECODEC_OK, 8},
        {{0x03}, 1, AECODEC_OK, -8},
        {{0x05}, 1, AECODEC_CORRUPT, 0},                  /* padding that is not zero */
        {{0x81}, 1, AECODEC_CORRUPT, 0},
        {{0x01, 0}, 2, AECODEC_CORRUPT, 0},               /* a byte too many */
        {{0x00}, 1, AECODEC_TRUNCATED, 0},                /* no end of the prefix */
        {{0x80}, 1, AECODEC_TRUNCATED, 0},                /* no bits behind it */
        {{0x00, 0xC0, 0xFC, 0x3F}, 4, AECODEC_OK, -32768}, /* m = 14, v = 32761 */
        {{0x00, 0x80, 0x00, 0x00}, 4, AECODEC_CORRUPT, 0}, /* m = 15: v = 2^15, beyond 16 bits */
        {{0x00, 0x00, 0x01, 0x00, 0x00}, 5, AECODEC_CORRUPT, 0}, /* m = 16 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        symbols[0] = 8;
        index_[0] = TEST_SKIP;
        size_t size = encode(1, 0), where; /* ends with one raw byte */
        uint8_t bytes[32];
        CHECK(payload[0] == 8 && payload[1] == 1);
        memcpy(bytes, payload, size - 1);
        bytes[1] = (uint8_t)cases[i].size;
        memcpy(bytes + size - 1, cases[i].raw, cases[i].size);
        uint8_t *copy = exact_copy(bytes, size - 1 + cases[i].size);
        for (int simd = 0; simd <= (int)aecodec_simd_available(); simd++) {
            aecodec_status status =
                decode(copy, size - 1 + cases[i].size, (aecodec_simd)simd, 1, out, &where);
            CHECK(status == cases[i].status);
            if (status == AECODEC_OK) CHECK(out[0] == cases[i].symbol);
        }
        free(copy);
    }
}

/* Input that changes while it is coded, as another thread could do it: the raw bits are written over symbols
 * that are still to come, which then need more of them than were counted. */
static void test_changing_input(void) {
    enum { N = 400, ESCAPES = 64, SYMBOLS_AT = 2000, RAW = ESCAPES * 30 / 8 };
    static int16_t area[SYMBOLS_AT / 2 + N];
    size_t written;
    memset(area, 0, sizeof area);
    memset(index_, TEST_SKIP, N);
    for (size_t i = 0; i < ESCAPES; i++) area[SYMBOLS_AT / 2 + i] = 32767;
    CHECK(aecodec_group_encode(&tables, area + SYMBOLS_AT / 2, index_, N, 0, (uint8_t *)area, SYMBOLS_AT + RAW,
                               &written, NULL) == AECODEC_BAD_ARGUMENT);
    for (size_t i = (SYMBOLS_AT + RAW) / 2; i < sizeof area / sizeof *area; i++) CHECK(area[i] == 0);
}

static void test_tables_refused(void) {
    aecodec_tables t;
    uint16_t row[16];
    uint8_t shift = 0;
    size_t where;
    for (unsigned c = 0; c < 16; c++) row[c] = (uint16_t)(c * 2048);
    CHECK(aecodec_tables_init(&t, row, &shift, 1, 1, &where) == AECODEC_OK);
    CHECK(aecodec_tables_init(&t, row, &shift, 1, 2, &where) == AECODEC_BAD_TABLES);
    CHECK(aecodec_tables_init(&t, row, &shift, 0, 0, &where) == AECODEC_BAD_TABLES);
    CHECK(aecodec_tables_init(&t, row, &shift, 257, 0, &where) == AECODEC_BAD_TABLES);
    row[15] = 32767; /* the escape has frequency 1 */
    CHECK(aecodec_tables_init(&t, row, &shift, 1, 0, &where) == AECODEC_OK);
    row[15] = 32768;
    CHECK(aecodec_tables_init(&t, row, &shift, 1, 0, &where) == AECODEC_BAD_TABLES);
    row[15] = row[14];
    CHECK(aecodec_tables_init(&t, row, &shift, 1, 0, &where) == AECODEC_BAD_TABLES);
    row[15] = 32000;
    row[0] = 1;
    CHECK(aecodec_tables_init(&t, row, &shift, 1, 0, &where) == AECODEC_BAD_TABLES);
    row[0] = 0;
    shift = 11;
    CHECK(aecodec_tables_init(&t, row, &shift, 1, 0, &where) == AECODEC_BAD_TABLES);
}

int main(void) {
    CHECK(test_tables(&tables) == AECODEC_OK);
    test_exact_bytes();
    test_round_trips();
    test_damage();
    test_refusals();
    test_raw_bits();
    test_changing_input();
    test_tables_refused();
    return 0;
}
