/* The whole test framework: CHECK stops at the first thing that is not so. */
#ifndef AECODEC_CHECK_H
#define AECODEC_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);   \
            exit(1);                                                                  \
        }                                                                             \
    } while (0)

/* Heap copy of exactly size bytes, so that the address sanitizer sees the first byte too far. */
static inline uint8_t *exact_copy(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    CHECK(copy);
    for (size_t i = 0; i < size; i++) copy[i] = data[i];
    return copy;
}

/* xorshift32: the same numbers everywhere. */
static inline uint32_t next_random(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

#endif
