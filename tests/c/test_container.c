/* Header, sections and group index: exact bytes, round trips, and everything a reader must refuse. */
#include "aecodec.h"
#include "check.h"
#include "cursor.h"

#include <string.h>

static const aecodec_header example = {
    .version = 1, .flags = 0, .width = 1, .height = 1, .channels = 3, .bit_depth = 8, .orientation = 1,
    .colour = 0, .quality = 8064, .model_id = {1, 2, 3, 4, 5, 6, 7, 8}, .symbols_crc = 0x11223344u,
    .group_edge = 32};

static void test_crc(void) {
    CHECK(aecodec_crc32c(0, "", 0) == 0);
    CHECK(aecodec_crc32c(0, "123456789", 9) == 0xE3069283u);
    uint8_t data[100];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 37);
    uint32_t whole = aecodec_crc32c(0, data, sizeof data);
    for (size_t cut = 0; cut <= sizeof data; cut++) {
        CHECK(aecodec_crc32c(aecodec_crc32c(0, data, cut), data + cut, sizeof data - cut) == whole);
    }
}

static void test_header(void) {
    static const uint8_t expected[AECODEC_HEADER_SIZE] = {
        0x89, 'A', 'E', 'C', '\r', '\n', 0x1A, '\n', 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 3, 8, 1, 0, 0x80, 0x1F,
        1, 2, 3, 4, 5, 6, 7, 8, 0x44, 0x33, 0x22, 0x11, 32, 0x3B, 0x42, 0x06, 0x2F};
    uint8_t bytes[AECODEC_HEADER_SIZE];
    aecodec_header back;
    size_t where;
    CHECK(aecodec_header_write(&example, bytes) == AECODEC_OK);
    if (memcmp(bytes, expected, sizeof bytes) != 0) {
        for (size_t i = 0; i < sizeof bytes; i++) fprintf(stderr, "%02x", bytes[i]);
        fprintf(stderr, "\n");
    }
    CHECK(memcmp(bytes, expected, sizeof bytes) == 0);
    CHECK(aecodec_header_read(bytes, sizeof bytes, &back, &where) == AECODEC_OK);
    CHECK(back.width == 1 && back.quality == 8064 && back.symbols_crc == 0x11223344u && back.group_edge == 32);
    CHECK(memcmp(back.model_id, example.model_id, 8) == 0);

    for (size_t cut = 0; cut < sizeof bytes; cut++) {
        uint8_t *copy = exact_copy(bytes, cut);
        aecodec_status status = aecodec_header_read(copy, cut, &back, &where);
        CHECK(status == (cut == 0 ? AECODEC_NOT_AEC : AECODEC_TRUNCATED));
        free(copy);
    }
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        aecodec_status status = aecodec_header_read(bytes, sizeof bytes, &back, &where);
        CHECK(status == (bit < 64 ? AECODEC_NOT_AEC : bit < 72 ? AECODEC_BAD_VERSION : AECODEC_BAD_CRC));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* A wrong value under a right CRC. */
static void test_header_values(void) {
    static const struct {
        size_t offset;
        uint8_t value;
        aecodec_status status;
    } cases[] = {
        {9, 2, AECODEC_UNSUPPORTED},  {10, 0, AECODEC_CORRUPT},    {14, 0, AECODEC_CORRUPT},
        {13, 0x80, AECODEC_CORRUPT},  {18, 2, AECODEC_UNSUPPORTED}, {19, 10, AECODEC_UNSUPPORTED},
        {20, 0, AECODEC_CORRUPT},     {20, 9, AECODEC_CORRUPT},    {21, 2, AECODEC_UNSUPPORTED},
        {23, 0x40, AECODEC_CORRUPT},  {36, 0, AECODEC_CORRUPT},    {36, 6, AECODEC_CORRUPT},
        {36, 68, AECODEC_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[AECODEC_HEADER_SIZE];
        aecodec_header back;
        CHECK(aecodec_header_write(&example, bytes) == AECODEC_OK);
        bytes[cases[i].offset] = cases[i].value;
        aecodec_store32(bytes + 37, aecodec_crc32c(0, bytes, 37));
        CHECK(aecodec_header_read(bytes, sizeof bytes, &back, NULL) == cases[i].status);
    }
    aecodec_header bad = example;
    uint8_t bytes[AECODEC_HEADER_SIZE];
    bad.quality = AECODEC_MAX_QUALITY + 1;
    CHECK(aecodec_header_write(&bad, bytes) == AECODEC_BAD_ARGUMENT);
}

static void test_limits(void) {
    aecodec_limits limits = aecodec_limits_default();
    aecodec_header h = example;
    uint64_t rows, columns;
    h.width = 262140;
    h.height = 1024;
    CHECK(aecodec_header_check(&h, &limits) == AECODEC_OK);
    h.height = 1025;
    CHECK(aecodec_header_check(&h, &limits) == AECODEC_LIMIT);
    h.width = 262141;
    h.height = 1;
    CHECK(aecodec_header_check(&h, &limits) == AECODEC_LIMIT);
    h.width = h.height = AECODEC_MAX_SIDE; /* products beyond 32 bits */
    CHECK(aecodec_header_check(&h, &limits) == AECODEC_LIMIT);
    h.width = 262140;
    h.height = 1024;
    h.group_edge = 4; /* 16 x 4096 groups: as many as allowed */
    CHECK(aecodec_header_check(&h, &limits) == AECODEC_OK);
    limits.max_groups--;
    CHECK(aecodec_header_check(&h, &limits) == AECODEC_LIMIT);
    h.group_edge = 32;
    h.width = 513;
    h.height = 512;
    aecodec_group_grid(&h, &rows, &columns);
    CHECK(rows == 1 && columns == 2);
}

typedef struct {
    uint8_t data[400];
    size_t size;
} file;

static void add(file *f, const char *tag, const char *payload) {
    uint8_t head[9], tail[4];
    size_t head_size, n = strlen(payload);
    CHECK(aecodec_section_frame(tag, (const uint8_t *)payload, n, head, &head_size, tail) == AECODEC_OK);
    memcpy(f->data + f->size, head, head_size);
    memcpy(f->data + f->size + head_size, payload, n);
    memcpy(f->data + f->size + head_size + n, tail, 4);
    f->size += head_size + n + 4;
}

static aecodec_status read(const file *f, unsigned options, aecodec_section *sections, size_t *count) {
    aecodec_limits limits = aecodec_limits_default();
    limits.max_sections = 6;
    limits.max_section_size = 100;
    uint8_t *copy = exact_copy(f->data, f->size);
    aecodec_status status = aecodec_sections_read(copy, f->size, 0, &limits, options, sections, 6, count, NULL);
    free(copy);
    return status;
}

static void test_sections(void) {
    aecodec_section s[6];
    size_t n;
    file f = {.size = 0};
    add(&f, "iCCP", "profile");
    add(&f, "note", "");
    add(&f, "GIDX", "index");
    add(&f, "GDAT", "data");
    CHECK(read(&f, 0, s, &n) == AECODEC_OK && n == 4);
    CHECK(memcmp(s[0].tag, "iCCP", 4) == 0 && s[0].offset == 5 && s[0].size == 7 && s[1].size == 0);
    for (size_t cut = 0; cut < f.size; cut++) {
        file g = f;
        g.size = cut;
        CHECK(read(&g, 0, s, &n) == AECODEC_TRUNCATED);
    }
    for (size_t bit = 0; bit < 8 * f.size; bit++) {
        file g = f;
        g.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(read(&g, 0, s, &n) != AECODEC_OK);
    }
    file g = f;
    g.data[g.size - 1] ^= 1;
    CHECK(read(&g, 0, s, &n) == AECODEC_BAD_CRC);
    CHECK(read(&g, AECODEC_UNREAD_GDAT, s, &n) == AECODEC_OK && n == 4);
    g.size -= 6;
    CHECK(read(&g, AECODEC_UNREAD_GDAT, s, &n) == AECODEC_OK && n == 4 && s[3].size == 4);
    g.data[5] ^= 1; /* all others are read */
    CHECK(read(&g, AECODEC_UNREAD_GDAT, s, &n) == AECODEC_BAD_CRC);

    static const struct {
        const char *tags[7];
        aecodec_status status;
    } orders[] = {
        {{"GIDX", "GDAT"}, AECODEC_OK},
        {{"GDAT"}, AECODEC_BAD_ORDER},
        {{"GIDX", "note", "GDAT"}, AECODEC_BAD_ORDER},
        {{"note", "note", "GIDX", "GDAT"}, AECODEC_DUPLICATE_SECTION},
        {{"NOTE", "GIDX", "GDAT"}, AECODEC_UNSUPPORTED},
        {{"GIDX", "GDAT", "note"}, AECODEC_TRAILING_DATA},
        {{"GIDX", "GDAT", "GDAT"}, AECODEC_TRAILING_DATA},
        {{"GIDX"}, AECODEC_TRUNCATED},
        {{"aaaa", "bbbb", "cccc", "dddd", "eeee", "GIDX", "GDAT"}, AECODEC_LIMIT},
    };
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        file h = {.size = 0};
        for (size_t k = 0; k < 7 && orders[i].tags[k]; k++) add(&h, orders[i].tags[k], "x");
        CHECK(read(&h, 0, s, &n) == orders[i].status);
    }
    file tail = f;
    tail.data[tail.size++] = 0;
    CHECK(read(&tail, 0, s, &n) == AECODEC_TRAILING_DATA);
    file odd = {.data = "no!e", .size = 60};
    CHECK(read(&odd, 0, s, &n) == AECODEC_CORRUPT);
    file big = {.data = {'n', 'o', 't', 'e', 101}, .size = 150};
    CHECK(read(&big, 0, s, &n) == AECODEC_LIMIT);
    file huge = {.data = {'n', 'o', 't', 'e', 0xFF, 0xFF, 0xFF, 0xFF, 0x08}, .size = 60};
    CHECK(read(&huge, 0, s, &n) == AECODEC_CORRUPT); /* beyond 2^31 - 1 */
    file loose = {.data = {'n', 'o', 't', 'e', 0x80, 0x00}, .size = 60};
    CHECK(read(&loose, 0, s, &n) == AECODEC_CORRUPT); /* not canonical */
}

static void test_group_index(void) {
    const aecodec_group_entry entries[3] = {{0, 1}, {127, 0xFFFFFFFFu}, {300, 0x01020304u}};
    static const uint8_t expected[] = {0, 1, 0, 0, 0, 127, 255, 255, 255, 255, 0xAC, 2, 4, 3, 2, 1};
    uint8_t bytes[27];
    size_t n;
    uint64_t total;
    aecodec_group_entry back[3];
    CHECK(aecodec_group_index_write(entries, 3, bytes, sizeof bytes, &n) == AECODEC_OK);
    CHECK(n == sizeof expected && memcmp(bytes, expected, n) == 0);
    CHECK(aecodec_group_index_write(entries, 3, bytes, n - 1, &n) == AECODEC_NO_SPACE);
    n = sizeof expected;
    CHECK(aecodec_group_index_read(bytes, n, back, 3, &total, NULL) == AECODEC_OK && total == 427);
    CHECK(back[2].size == 300 && back[1].crc == 0xFFFFFFFFu);
    CHECK(aecodec_group_index_read(bytes, n, back, 2, &total, NULL) == AECODEC_TRAILING_DATA);
    for (size_t cut = 0; cut < n; cut++) {
        uint8_t *copy = exact_copy(bytes, cut);
        CHECK(aecodec_group_index_read(copy, cut, back, 3, &total, NULL) == AECODEC_TRUNCATED);
        free(copy);
    }
}

int main(void) {
    test_crc();
    test_header();
    test_header_values();
    test_limits();
    test_sections();
    test_group_index();
    CHECK(aecodec_status_name(AECODEC_NO_SIMD)[0] == 'N');
    CHECK(aecodec_status_name((aecodec_status)18)[0] == 'U');
    return 0;
}
