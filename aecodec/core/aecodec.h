/* aecodec: the C core of the aecodec image codec.
 *
 * Two halves that do not know each other:
 *   container   bytes of an .aec file  <-> header, sections, group index
 *   coder       symbols (int16) + index (uint8: the table row of each symbol)  <-> group payload
 *
 * Rules that hold for every function here:
 *   - integers only: the same input gives the same output on every machine;
 *   - no allocation, no input or output, no mutable global: the caller passes every buffer;
 *   - input bytes are read through one bounds-checked cursor (cursor.h) and every size is checked
 *     before it is used, so hostile input gives a status, never an access out of bounds;
 *   - a function that can fail returns an aecodec_status; its outputs are unspecified after a failure.
 *
 * docs/format.md is the normative description of the bytes. */
#ifndef AECODEC_H
#define AECODEC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ results */

/* The values are part of the interface: new ones are appended. */
typedef enum aecodec_status {
    AECODEC_OK = 0,
    AECODEC_NOT_AEC = 1,           /* the magic does not match */
    AECODEC_BAD_VERSION = 2,       /* a version of the format this library does not know */
    AECODEC_UNSUPPORTED = 3,       /* an unknown flag, field value or required section */
    AECODEC_TRUNCATED = 4,         /* the bytes end before the thing they describe */
    AECODEC_CORRUPT = 5,           /* bytes that no encoder writes */
    AECODEC_BAD_CRC = 6,           /* a checksum does not match */
    AECODEC_DUPLICATE_SECTION = 7, /* the same tag twice */
    AECODEC_MISSING_SECTION = 8,   /* a section the header asks for is absent; callers see that, not the library */
    AECODEC_BAD_ORDER = 9,         /* sections in an order the format does not allow */
    AECODEC_TRAILING_DATA = 10,    /* bytes after the end */
    AECODEC_LIMIT = 11,            /* larger than the caller's limits */
    AECODEC_BAD_ARGUMENT = 12,     /* the caller's mistake */
    AECODEC_BAD_TABLES = 13,       /* tables that are no valid set of distributions */
    AECODEC_BAD_INDEX = 14,        /* an index of no table row */
    AECODEC_BAD_SYMBOL = 15,       /* a symbol other than 0 where the index says it is skipped */
    AECODEC_NO_SPACE = 16,         /* the output buffer is too small */
    AECODEC_NO_SIMD = 17           /* the SIMD path asked for does not exist on this machine */
} aecodec_status;

/* A short constant name such as "BAD_CRC"; "UNKNOWN" for a value outside the enumeration. */
const char *aecodec_status_name(aecodec_status status);

/* One English sentence without a full stop, such as "a checksum does not match". */
const char *aecodec_status_text(aecodec_status status);

/* The version of the library, "major.minor.patch". */
const char *aecodec_version(void);

/* CRC-32C (Castagnoli, reflected, start and final value inverted) of data, continuing from crc;
 * begin with 0. Check value: crc of "123456789" is 0xE3069283. */
uint32_t aecodec_crc32c(uint32_t crc, const void *data, size_t size);

/* ------------------------------------------------------------------ container */

#define AECODEC_HEADER_SIZE 41u
#define AECODEC_FORMAT_VERSION 1u
#define AECODEC_FLAG_ALPHA 1u
#define AECODEC_MAX_SECTION 0x7FFFFFFFu
#define AECODEC_MAX_SIDE 0x7FFFFFFFu
#define AECODEC_MAX_QUALITY (63u * 256u)

typedef struct aecodec_header {
    uint8_t version;     /* AECODEC_FORMAT_VERSION */
    uint8_t flags;       /* AECODEC_FLAG_* */
    uint32_t width;      /* 1 .. AECODEC_MAX_SIDE, as stored (before orientation) */
    uint32_t height;
    uint8_t channels;    /* 1 grey, 3 RGB */
    uint8_t bit_depth;   /* 8 or 16 */
    uint8_t orientation; /* 1..8, meaning as in EXIF */
    uint8_t colour;      /* 0 sRGB or unspecified, 1 an iCCP section follows */
    uint16_t quality;    /* level * 256, 0 .. AECODEC_MAX_QUALITY */
    uint8_t model_id[8];
    uint32_t symbols_crc; /* CRC-32C of all symbols, see docs/format.md */
    uint8_t group_edge;   /* latent positions, a multiple of 4 in 4..64 */
} aecodec_header;

/* What a reader is willing to accept. Checked before the caller has to allocate anything. */
typedef struct aecodec_limits {
    uint64_t max_pixels;
    uint32_t max_side;
    uint32_t max_sections;
    uint32_t max_section_size;
    uint32_t max_groups;
} aecodec_limits;

/* 2^28 pixels, sides of 262140, 64 sections of at most 2^30 bytes, 2^16 groups. */
aecodec_limits aecodec_limits_default(void);

typedef struct aecodec_section {
    char tag[4];
    size_t offset; /* of the payload, from the start of the file */
    size_t size;   /* of the payload, as stated in the file */
} aecodec_section;

typedef struct aecodec_group_entry {
    uint32_t size; /* bytes of payload */
    uint32_t crc;  /* CRC-32C of the payload */
} aecodec_group_entry;

/* Readers report in *where (may be NULL) the byte offset, from the start of their input, of the
 * thing that made them fail. */

/* Reads and checks the fixed header. NOT_AEC, BAD_VERSION, TRUNCATED, BAD_CRC, UNSUPPORTED, CORRUPT. */
aecodec_status aecodec_header_read(const uint8_t *data, size_t size, aecodec_header *header, size_t *where);

/* Writes the fixed header with its CRC. BAD_ARGUMENT when a field is out of its range. */
aecodec_status aecodec_header_write(const aecodec_header *header, uint8_t out[AECODEC_HEADER_SIZE]);

/* LIMIT when the picture or its number of groups is larger than the limits allow. */
aecodec_status aecodec_header_check(const aecodec_header *header, const aecodec_limits *limits);

/* Groups down and across; their product is the number of entries in GIDX. The header must be valid. */
void aecodec_group_grid(const aecodec_header *header, uint64_t *rows, uint64_t *columns);

enum {
    /* Leave GDAT unread: it may be cut short, and its CRC is not computed. For readers of some groups, or
     * of those that are whole in a damaged file: GIDX has a CRC for each. Its size is that which the file
     * states. */
    AECODEC_UNREAD_GDAT = 1
};

/* Lists the sections from offset (AECODEC_HEADER_SIZE in a file) to the end, checking tags, sizes,
 * CRCs, order, duplicates, unknown required tags and the end of the file; not whether flags and colour of
 * the header agree with them. sections has room for capacity entries (limits->max_sections is always
 * enough). */
aecodec_status aecodec_sections_read(const uint8_t *data, size_t size, size_t offset,
                                     const aecodec_limits *limits, unsigned options,
                                     aecodec_section *sections, size_t capacity, size_t *count,
                                     size_t *where);

/* A section is: tag, varint size, payload, CRC. These write what stands before the payload (head,
 * room for 9 bytes, *head_size used) and the four bytes after it. */
aecodec_status aecodec_section_frame(const char tag[4], const uint8_t *payload, size_t size,
                                     uint8_t head[9], size_t *head_size, uint8_t tail[4]);

/* Reads the payload of GIDX: exactly n_groups entries and nothing else. *total is the sum of sizes. */
aecodec_status aecodec_group_index_read(const uint8_t *payload, size_t size, aecodec_group_entry *entries,
                                        size_t n_groups, uint64_t *total, size_t *where);

/* Writes the payload of GIDX; 9 bytes an entry are always enough. */
aecodec_status aecodec_group_index_write(const aecodec_group_entry *entries, size_t n_groups, uint8_t *out,
                                         size_t capacity, size_t *written);

/* ------------------------------------------------------------------ coder */

#define AECODEC_MAX_ROWS 256u
#define AECODEC_ROW 16u          /* codes a row: 0, +1, -1 ... +7, -7, escape */
#define AECODEC_ESCAPE 15u
#define AECODEC_PRECISION 15u    /* frequencies of a row sum to 2^15 */
#define AECODEC_MAX_SHIFT 10u
#define AECODEC_MAX_LANES_LOG2 5u
#define AECODEC_MAX_LANES 32u

/* Tables made ready for coding. Fill with aecodec_tables_init, then read-only: any number of threads
 * may share one. All 256 rows exist in memory, so no uint8 can point outside. */
typedef struct aecodec_tables {
    int16_t start[AECODEC_MAX_ROWS][AECODEC_ROW];       /* cumulative starts: one 32-byte vector */
    uint32_t entry[AECODEC_MAX_ROWS][AECODEC_ROW];      /* start | frequency << 16 */
    uint32_t reciprocal[AECODEC_MAX_ROWS][AECODEC_ROW]; /* floor(2^32 / frequency), see rans_encode.c */
    uint8_t shift[AECODEC_MAX_ROWS];
    uint32_t n_rows;
    uint32_t skip; /* index < skip: the symbol is 0 and is not coded */
} aecodec_tables;

/* rows: n_rows * 16 cumulative starts; shifts: n_rows. BAD_TABLES unless every row starts at 0,
 * increases strictly and stays below 2^15, every shift is at most 10, 1 <= n_rows <= 256 and
 * skip <= n_rows. *where is then the offending row. */
aecodec_status aecodec_tables_init(aecodec_tables *tables, const uint16_t *rows, const uint8_t *shifts,
                                   size_t n_rows, unsigned skip, size_t *where);

typedef enum aecodec_simd {
    AECODEC_SIMD_AUTO = -1,
    AECODEC_SIMD_NONE = 0,
    AECODEC_SIMD_AVX2 = 1
} aecodec_simd;

/* The best path this machine has: AECODEC_SIMD_NONE or AECODEC_SIMD_AVX2. */
aecodec_simd aecodec_simd_available(void);

/* Products of unsigned and signed bytes, summed: what this CPU makes of them. */
typedef enum aecodec_dot {
    AECODEC_DOT_SATURATES = 0, /* x86 without VNNI: sums of two are cut to 16 bits */
    AECODEC_DOT_FAST = 1,      /* VNNI, Arm's dot product: exact, and several times as fast as float */
    AECODEC_DOT_SLOW = 2       /* exact, not known to be faster than float */
} aecodec_dot;

aecodec_dot aecodec_dot_product(void);

/* Bytes that are always enough for the payload of count symbols. 0 when that overflows a size_t. */
size_t aecodec_group_bound(size_t count);

/* Codes count symbols. index[i] is the table row of symbols[i]. lanes_log2 is 0..5, or negative to
 * choose by the number of coded symbols. Writes *written bytes to out. BAD_INDEX, BAD_SYMBOL (with the
 * position in *where), NO_SPACE, BAD_ARGUMENT. */
aecodec_status aecodec_group_encode(const aecodec_tables *tables, const int16_t *symbols,
                                    const uint8_t *index, size_t count, int lanes_log2, uint8_t *out,
                                    size_t capacity, size_t *written, size_t *where);

/* A payload being decoded. The fields are private; tables and payload must outlive it. */
typedef struct aecodec_decoder {
    const aecodec_tables *tables;
    const uint8_t *payload;
    size_t word;     /* offset of the next 16-bit word */
    size_t word_end; /* where the words end and the raw bits begin */
    size_t raw_end;  /* end of the payload */
    uint64_t raw_bit; /* next raw bit, counted from word_end */
    uint64_t coded;  /* symbols decoded so far, skipped ones not counted */
    uint32_t lane_mask;
    uint32_t state[AECODEC_MAX_LANES];
    aecodec_simd simd;
    aecodec_status status; /* a failure stays */
    size_t where;          /* byte of the payload at which it failed */
} aecodec_decoder;

/* Reads the head of a payload. TRUNCATED, CORRUPT, NO_SIMD, BAD_ARGUMENT. */
aecodec_status aecodec_decoder_init(aecodec_decoder *decoder, const aecodec_tables *tables,
                                    const uint8_t *payload, size_t size, aecodec_simd simd);

/* Decodes the next count symbols, whose rows are index. May be called any number of times; the calls
 * continue one stream. TRUNCATED (words or raw bits run out), CORRUPT, BAD_INDEX. */
aecodec_status aecodec_decoder_decode(aecodec_decoder *decoder, const uint8_t *index, int16_t *out,
                                      size_t count);

/* OK when the stream ended exactly: every lane is back at its start, no word and no raw bit is left. */
aecodec_status aecodec_decoder_finish(aecodec_decoder *decoder);

/* ------------------------------------------------------------------ context of z */

#define AECODEC_MAX_Z 255u      /* channels */
#define AECODEC_Z_PASSES 5u     /* the runs of docs/format.md: positions of z, from coarse to fine */
#define AECODEC_Z_SIZES 7u      /* classes of the neighbours' sizes */
#define AECODEC_Z_ACTIVITIES 5u /* classes of these, summed over the channels */

/* How z is predicted from its neighbours: docs/format.md, section 5.1. Read-only; the caller owns the arrays.
 * 1 <= lowest < n_rows <= 256, and lowest is not below the skip of the tables. */
typedef struct aecodec_z_context {
    size_t channels;      /* 1 .. AECODEC_MAX_Z */
    uint32_t lowest;      /* rows of z: lowest .. n_rows - 1 */
    uint32_t n_rows;
    const uint16_t *size; /* [n_rows - lowest]: mean |z| that a row expects, in 192nds */
    const int8_t *weight; /* [AECODEC_Z_PASSES - 1][channels], in 64ths; pass 0 has no neighbours */
    uint16_t activity[AECODEC_Z_ACTIVITIES - 1];
    int8_t step[AECODEC_Z_PASSES][AECODEC_Z_SIZES][AECODEC_Z_ACTIVITIES]; /* rows to go from that of the channel */
} aecodec_z_context;

/* What has to be coded for z [channels, height, width]: for each pass as many symbols and indices as z has,
 * with index 0, which is skipped, outside the pass. z_row [channels]. BAD_INDEX for a row that is none of z
 * (its channel in *where), BAD_ARGUMENT for a z beyond 127 (its place in *where). */
aecodec_status aecodec_z_symbols(const aecodec_z_context *context, const uint8_t *z_row, const int16_t *z,
                                 size_t height, size_t width, int16_t *symbols, uint8_t *index, size_t *where);

/* Decodes the z of a group, all passes. mean, rest and index are scratch, as large as z. What
 * aecodec_decoder_decode returns, BAD_INDEX for a row that is none of z, CORRUPT for a z beyond 127. */
aecodec_status aecodec_decoder_decode_z(aecodec_decoder *decoder, const aecodec_z_context *context,
                                        const uint8_t *z_row, size_t height, size_t width, int16_t *z,
                                        int16_t *mean, int16_t *rest, uint8_t *index);

#ifdef __cplusplus
}
#endif
#endif
