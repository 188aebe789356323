#include "CKernels.h"
#include <pthread.h>
#include <string.h>

/* Slicing by eight (Kounavis and Berry, 2005). */
static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void) {
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = n;
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
        tables[0][n] = crc;
    }
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = tables[0][n];
        for (int k = 1; k < 8; k++) {
            crc = tables[0][crc & 0xff] ^ (crc >> 8);
            tables[k][n] = crc;
        }
    }
}

uint32_t hydrant_crc32c_portable(uint32_t crc, const void *bytes, size_t count) {
    pthread_once(&tables_once, make_tables);
    const uint8_t *next = bytes;
    crc = ~crc;
    while (count >= 8) {
        uint32_t low = crc ^ ((uint32_t)next[0] | (uint32_t)next[1] << 8 | (uint32_t)next[2] << 16
                              | (uint32_t)next[3] << 24);
        crc = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^ tables[5][(low >> 16) & 0xff]
            ^ tables[4][low >> 24] ^ tables[3][next[4]] ^ tables[2][next[5]] ^ tables[1][next[6]]
            ^ tables[0][next[7]];
        next += 8;
        count -= 8;
    }
    while (count--) crc = tables[0][(crc ^ *next++) & 0xff] ^ (crc >> 8);
    return ~crc;
}

#if defined(__x86_64__)
#include <immintrin.h>

/* Three streams at once hide the latency of the instruction; their results are joined by
   multiplying with x^(8 * LANE) in the polynomial's field, through a table of that operator. */
#define LANE 2048

static uint32_t shift_lane[4][256];
static pthread_once_t shift_once = PTHREAD_ONCE_INIT;

static void make_shift(void) {
    static const uint8_t zeros[LANE];
    uint32_t column[32];
    for (int bit = 0; bit < 32; bit++) {
        /* The operator is linear: what LANE zero bytes make of each single bit. */
        column[bit] = ~hydrant_crc32c_portable(~(1u << bit), zeros, LANE);
    }
    for (int byte = 0; byte < 4; byte++) {
        for (uint32_t n = 0; n < 256; n++) {
            uint32_t sum = 0;
            for (int bit = 0; bit < 8; bit++) {
                if (n >> bit & 1) sum ^= column[byte * 8 + bit];
            }
            shift_lane[byte][n] = sum;
        }
    }
}

static uint32_t shifted(uint32_t crc) {
    return shift_lane[0][crc & 0xff] ^ shift_lane[1][(crc >> 8) & 0xff]
        ^ shift_lane[2][(crc >> 16) & 0xff] ^ shift_lane[3][crc >> 24];
}

static inline uint64_t load64(const uint8_t *from) {
    uint64_t value;
    memcpy(&value, from, 8);
    return value;
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(
    uint32_t start, const void *bytes, size_t count) {
    pthread_once(&shift_once, make_shift);
    const uint8_t *next = bytes;
    uint64_t crc = (uint32_t)~start;
    while (count >= 3 * LANE) {
        uint64_t second = 0, third = 0;
        for (size_t at = 0; at < LANE; at += 8) {
            crc = _mm_crc32_u64(crc, load64(next + at));
            second = _mm_crc32_u64(second, load64(next + LANE + at));
            third = _mm_crc32_u64(third, load64(next + 2 * LANE + at));
        }
        crc = shifted((uint32_t)crc) ^ second;
        crc = shifted((uint32_t)crc) ^ third;
        next += 3 * LANE;
        count -= 3 * LANE;
    }
    while (count >= 8) {
        crc = _mm_crc32_u64(crc, load64(next));
        next += 8;
        count -= 8;
    }
    while (count--) crc = _mm_crc32_u8((uint32_t)crc, *next++);
    return ~(uint32_t)crc;
}
#endif

uint32_t hydrant_crc32c(uint32_t crc, const void *bytes, size_t count) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return crc32c_sse42(crc, bytes, count);
#endif
    return hydrant_crc32c_portable(crc, bytes, count);
}
