/* The AVX2 path of the decoder: eight lanes a vector, same words, same codes, same failures.
 *
 * A row is 16 cumulative starts in one vector. Comparing it with the slot gives the code as a position
 * of a bit; eight such searches stand side by side, and the state update and the refill are done for
 * eight lanes at once. Words are shared by all lanes in order, so the k-th lane that needs a word
 * takes the k-th of the next eight.
 *
 * The functions carry the target attribute themselves: this file needs no compiler flag, and nothing
 * here runs before aecodec_simd_available has said yes. */
#include "rans.h"

#ifdef AECODEC_HAVE_AVX2
#include "rans_avx2_tables.h"

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,bmi,popcnt")))

AVX2 unsigned aecodec_compact_avx2(aecodec_block *block, const uint8_t *index, size_t n, unsigned skip) {
    size_t count = 0, i = 0;
    unsigned largest = 0;
    __m256i top = _mm256_setzero_si256();
    const __m256i threshold = _mm256_set1_epi8((char)(uint8_t)skip);
    if (skip > 255) n = 0; /* no uint8 reaches it */

    for (; n - i >= 32; i += 32) {
        __m256i rows = _mm256_loadu_si256((const __m256i *)(const void *)(index + i));
        __m256i coded = _mm256_cmpeq_epi8(_mm256_max_epu8(rows, threshold), rows);
        uint32_t mask = (uint32_t)_mm256_movemask_epi8(coded);
        if (mask == 0) continue;
        top = _mm256_max_epu8(top, rows);
        for (unsigned k = 0; k < 32; k += 8, mask >>= 8) {
            /* Whole vectors are stored; what is beyond count is overwritten or unused. As count never
             * passes i + k, they stay inside the block. */
            unsigned m = mask & 255u;
            __m128i from = _mm_loadl_epi64((const __m128i *)(const void *)&squeeze[m]);
            __m128i row = _mm_loadl_epi64((const __m128i *)(const void *)(index + i + k));
            __m128i base = _mm_set1_epi16((short)(i + k));
            _mm_storeu_si128((__m128i *)(void *)(block->position + count),
                             _mm_add_epi16(_mm_cvtepu8_epi16(from), base));
            _mm_storel_epi64((__m128i *)(void *)(block->row + count), _mm_shuffle_epi8(row, from));
            count += (size_t)_mm_popcnt_u32(m);
        }
    }
    uint8_t tops[32];
    _mm256_storeu_si256((__m256i *)(void *)tops, top);
    for (unsigned k = 0; k < 32; k++) largest = tops[k] > largest ? tops[k] : largest;
    for (; i < n; i++) {
        unsigned row = index[i];
        if (row < skip) continue;
        block->position[count] = (uint16_t)i;
        block->row[count++] = (uint8_t)row;
        largest = row > largest ? row : largest;
    }
    block->count = count;
    return largest;
}

/* start[c] <= slot holds for c = 0 .. code, so the first bit set by start > slot is 2 * (code + 1). */
AVX2 static inline uint32_t search(const aecodec_tables *tables, unsigned row, const uint32_t *slot,
                                   uint8_t *code) {
    __m256i start = _mm256_loadu_si256((const __m256i *)(const void *)tables->start[row]);
    __m256i above = _mm256_cmpgt_epi16(start, _mm256_set1_epi16((short)*slot));
    uint32_t c = (_tzcnt_u32((uint32_t)_mm256_movemask_epi8(above)) >> 1) - 1;
    *code = (uint8_t)c;
    return tables->entry[row][c];
}

AVX2 static size_t vectors(aecodec_decoder *d, aecodec_block *block, size_t i) {
    const aecodec_tables *tables = d->tables;
    uint32_t lane = (uint32_t)((d->coded) & d->lane_mask);
    size_t word = d->word;
    const size_t first = i;

    for (; block->count - i >= 8 && d->word_end - word >= 16; i += 8, lane = (lane + 8) & d->lane_mask) {
        __m256i *state = (__m256i *)(void *)(d->state + lane);
        const uint8_t *row = block->row + i;
        uint8_t *code = block->code + i;
        uint32_t slots[8];
        __m256i x = _mm256_loadu_si256(state);
        __m256i slot = _mm256_and_si256(x, _mm256_set1_epi32((int)AECODEC_SLOT_MASK));
        _mm256_storeu_si256((__m256i *)(void *)slots, slot);
        __m256i entry = _mm256_setr_epi32(
            (int)search(tables, row[0], &slots[0], &code[0]), (int)search(tables, row[1], &slots[1], &code[1]),
            (int)search(tables, row[2], &slots[2], &code[2]), (int)search(tables, row[3], &slots[3], &code[3]),
            (int)search(tables, row[4], &slots[4], &code[4]), (int)search(tables, row[5], &slots[5], &code[5]),
            (int)search(tables, row[6], &slots[6], &code[6]), (int)search(tables, row[7], &slots[7], &code[7]));
        __m256i freq = _mm256_srli_epi32(entry, 16);
        __m256i start = _mm256_and_si256(entry, _mm256_set1_epi32(0xFFFF));
        x = _mm256_mullo_epi32(freq, _mm256_srli_epi32(x, AECODEC_PRECISION));
        x = _mm256_add_epi32(x, _mm256_sub_epi32(slot, start));

        __m256i small = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
        unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(small));
        __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(d->payload + word));
        __m128i order = _mm_loadl_epi64((const __m128i *)(const void *)&expand[mask]);
        __m256i words = _mm256_permutevar8x32_epi32(_mm256_cvtepu16_epi32(next), _mm256_cvtepu8_epi32(order));
        __m256i refilled = _mm256_or_si256(_mm256_slli_epi32(x, 16), words);
        _mm256_storeu_si256(state, _mm256_blendv_epi8(x, refilled, small));
        word += 2 * (size_t)_mm_popcnt_u32(mask);
    }
    d->word = word;
    d->coded += i - first;
    return i;
}

aecodec_status aecodec_block_avx2(aecodec_decoder *d, aecodec_block *block) {
    size_t i = 0;
    if (d->lane_mask >= 7) { /* fewer than eight lanes: the scalar path */
        size_t head = (size_t)((8 - d->coded % 8) % 8);
        if (head > block->count) head = block->count;
        aecodec_status status = aecodec_block_scalar(d, block, 0, head);
        if (status != AECODEC_OK) return status;
        i = vectors(d, block, head);
    }
    return aecodec_block_scalar(d, block, i, block->count);
}
#endif
