/* What the encoder and the two decoder paths share: constants, blocks, the symbol <-> code rule.
 *
 * Private to the library. A block is up to AECODEC_BLOCK neighbouring symbols; within it the skipped
 * ones are dropped first (compaction), so that all later loops see coded symbols only:
 *
 *   index[n] --compact--> position[m], row[m] --rANS--> code[m] --raw bits--> out[position] */
#ifndef AECODEC_RANS_H
#define AECODEC_RANS_H

#include "aecodec.h"
#include "cursor.h"

#define AECODEC_STATE_LOW 0x10000u /* states live in [2^16, 2^32) */
#define AECODEC_BLOCK 1024u
#define AECODEC_HEAD_RAW 8u /* bit 3 of byte 0: raw bits follow the words */
#define AECODEC_SLOT_MASK ((1u << AECODEC_PRECISION) - 1u)

#if defined(__x86_64__) && defined(__GNUC__)
#define AECODEC_HAVE_AVX2 1
#endif

typedef struct aecodec_block {
    size_t count;                       /* coded symbols */
    uint16_t position[AECODEC_BLOCK + 8]; /* of each, within the block; 8 spare for whole-vector stores */
    uint8_t row[AECODEC_BLOCK + 8];
    uint8_t code[AECODEC_BLOCK + 8];
} aecodec_block;

/* Fills position, row and count. n <= AECODEC_BLOCK. Returns the largest row found. */
static inline unsigned aecodec_compact(aecodec_block *block, const uint8_t *index, size_t n, unsigned skip) {
    size_t count = 0;
    unsigned largest = 0;
    for (size_t i = 0; i < n;) {
        size_t end = n - i < 32 ? n : i + 32;
        if (end - i == 32) { /* whole runs of skipped symbols go by 32 at a time */
            unsigned top = 0;
            for (size_t k = 0; k < 32; k++) top = index[i + k] > top ? index[i + k] : top;
            if (top < skip) {
                i = end;
                continue;
            }
        }
        for (; i < end; i++) { /* without a branch: write always, advance when coded */
            unsigned row = index[i];
            block->position[count] = (uint16_t)i;
            block->row[count] = (uint8_t)row;
            count += row >= skip;
        }
    }
    block->count = count;
    for (size_t i = 0; i < count; i++) largest = block->row[i] > largest ? block->row[i] : largest;
    return largest;
}

/* A failure that stays. */
static inline aecodec_status aecodec_fail(aecodec_decoder *decoder, aecodec_status status, size_t where) {
    decoder->status = status;
    decoder->where = where;
    return status;
}

/* Decodes the codes of a block from the words. Updates state, word and coded; on failure sets
 * status and where. Both paths give the same codes, states and failures. */
aecodec_status aecodec_block_scalar(aecodec_decoder *decoder, aecodec_block *block, size_t from, size_t to);
#ifdef AECODEC_HAVE_AVX2
unsigned aecodec_compact_avx2(aecodec_block *block, const uint8_t *index, size_t n, unsigned skip);
aecodec_status aecodec_block_avx2(aecodec_decoder *decoder, aecodec_block *block);
#endif

#endif
