#include "CKernels.h"
#include <string.h>

/* 255 marks a byte outside the alphabet. */
#define X 255
static const uint8_t values[256] = {
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, 62, X, X, X, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, X, X, X, X, X, X,
    X, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, X, X, X, X, X,
    X, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
};
#undef X

/* Goes on from `read` and `written`, which are at a multiple of 4 and 3. */
static size_t decode_rest(
    const uint8_t *source, size_t count, size_t read, uint8_t *target, size_t written,
    size_t *consumed) {
    while (read + 4 <= count) {
        uint8_t a = values[source[read]], b = values[source[read + 1]];
        uint8_t c = values[source[read + 2]], d = values[source[read + 3]];
        if ((a | b | c | d) & 0x80) break;
        target[written] = (uint8_t)(a << 2 | b >> 4);
        target[written + 1] = (uint8_t)(b << 4 | c >> 2);
        target[written + 2] = (uint8_t)(c << 6 | d);
        read += 4;
        written += 3;
    }
    uint32_t bits = 0;
    int held = 0;
    while (read < count && held < 3) {
        uint8_t value = values[source[read]];
        if (value & 0x80) break;
        bits = bits << 6 | value;
        held++;
        read++;
    }
    if (held >= 2) target[written++] = (uint8_t)(bits >> (held * 6 - 8));
    if (held == 3) target[written++] = (uint8_t)(bits >> 2);
    *consumed = read;
    return written;
}

size_t hydrant_base64_decode_portable(
    const uint8_t *source, size_t count, uint8_t *target, size_t *consumed) {
    return decode_rest(source, count, 0, target, 0, consumed);
}

#if defined(__x86_64__)
#include <immintrin.h>

/* Mula and Lemire, "Faster Base64 Encoding and Decoding Using AVX2 Instructions" (2018):
   32 characters a turn; the nibbles of each character look up whether it is in the alphabet and
   by how much it is shifted to its value. */
__attribute__((target("avx2"))) static size_t decode_avx2(
    const uint8_t *source, size_t count, uint8_t *target, size_t *consumed) {
    const __m256i lut_lo = _mm256_setr_epi8(
        0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1A, 0x1B, 0x1B, 0x1B,
        0x1A, 0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1A, 0x1B, 0x1B,
        0x1B, 0x1A);
    const __m256i lut_hi = _mm256_setr_epi8(
        0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10,
        0x10, 0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10,
        0x10, 0x10);
    const __m256i lut_roll = _mm256_setr_epi8(
        0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 19, 4, -65, -65, -71, -71,
        0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i slash = _mm256_set1_epi8(0x2f);
    const __m256i pack = _mm256_setr_epi8(
        2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1, 2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13,
        12, -1, -1, -1, -1);
    const __m256i join = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, -1, -1);
    size_t read = 0, written = 0;
    /* The store writes 32 bytes for 24: the target has count / 4 * 3 + 3, so 11 further
       characters must follow for the last 8 to lie inside it. */
    while (read + 32 + 12 <= count) {
        __m256i text = _mm256_loadu_si256((const __m256i *)(source + read));
        __m256i high = _mm256_and_si256(_mm256_srli_epi32(text, 4), slash);
        __m256i low = _mm256_and_si256(text, slash);
        __m256i is_slash = _mm256_cmpeq_epi8(text, slash);
        __m256i in_high = _mm256_shuffle_epi8(lut_hi, high);
        __m256i in_low = _mm256_shuffle_epi8(lut_lo, low);
        if (!_mm256_testz_si256(in_low, in_high)) break;
        __m256i roll = _mm256_shuffle_epi8(lut_roll, _mm256_add_epi8(is_slash, high));
        __m256i sextets = _mm256_add_epi8(text, roll);
        __m256i pairs = _mm256_maddubs_epi16(sextets, _mm256_set1_epi32(0x01400140));
        __m256i quads = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
        __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(quads, pack), join);
        _mm256_storeu_si256((__m256i *)(target + written), bytes);
        read += 32;
        written += 24;
    }
    return decode_rest(source, count, read, target, written, consumed);
}
#endif

size_t hydrant_base64_decode(
    const uint8_t *source, size_t count, uint8_t *target, size_t *consumed) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return decode_avx2(source, count, target, consumed);
#endif
    return decode_rest(source, count, 0, target, 0, consumed);
}

/* Encoding. */

static const uint8_t alphabet[65] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Goes on from `read` and `written`, which are at a multiple of 3 and 4. */
static size_t encode_rest(
    const uint8_t *source, size_t count, size_t read, uint8_t *target, size_t written) {
    for (; read + 3 <= count; read += 3, written += 4) {
        uint32_t bits =
            (uint32_t)source[read] << 16 | (uint32_t)source[read + 1] << 8 | source[read + 2];
        target[written] = alphabet[bits >> 18];
        target[written + 1] = alphabet[bits >> 12 & 63];
        target[written + 2] = alphabet[bits >> 6 & 63];
        target[written + 3] = alphabet[bits & 63];
    }
    size_t left = count - read;
    if (left == 0) return written;
    uint32_t bits = (uint32_t)source[read] << 16;
    if (left == 2) bits |= (uint32_t)source[read + 1] << 8;
    target[written] = alphabet[bits >> 18];
    target[written + 1] = alphabet[bits >> 12 & 63];
    target[written + 2] = left == 2 ? alphabet[bits >> 6 & 63] : '=';
    target[written + 3] = '=';
    return written + 4;
}

size_t hydrant_base64_encode_portable(const uint8_t *source, size_t count, uint8_t *target) {
    return encode_rest(source, count, 0, target, 0);
}

#if defined(__x86_64__)
/* As in the paper above: 24 bytes a turn become 32 characters. */
__attribute__((target("avx2"))) static size_t encode_avx2(
    const uint8_t *source, size_t count, uint8_t *target) {
    const __m256i spread = _mm256_setr_epi8(
        1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10, 1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10,
        9, 11, 10);
    const __m256i shift = _mm256_setr_epi8(
        65, 71, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 0, 0, 65, 71, -4, -4, -4, -4, -4,
        -4, -4, -4, -4, -4, -19, -16, 0, 0);
    size_t read = 0, written = 0;
    /* Two loads of 16 bytes for 12 each. */
    while (read + 28 <= count) {
        __m128i low = _mm_loadu_si128((const __m128i *)(source + read));
        __m128i high = _mm_loadu_si128((const __m128i *)(source + read + 12));
        __m256i bytes =
            _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), spread);
        __m256i upper = _mm256_mulhi_epu16(
            _mm256_and_si256(bytes, _mm256_set1_epi32(0x0fc0fc00)), _mm256_set1_epi32(0x04000040));
        __m256i lower = _mm256_mullo_epi16(
            _mm256_and_si256(bytes, _mm256_set1_epi32(0x003f03f0)), _mm256_set1_epi32(0x01000010));
        __m256i sextets = _mm256_or_si256(upper, lower);
        __m256i class = _mm256_subs_epu8(sextets, _mm256_set1_epi8(51));
        __m256i above = _mm256_cmpgt_epi8(sextets, _mm256_set1_epi8(25));
        class = _mm256_sub_epi8(class, above);
        __m256i text = _mm256_add_epi8(sextets, _mm256_shuffle_epi8(shift, class));
        _mm256_storeu_si256((__m256i *)(target + written), text);
        read += 24;
        written += 32;
    }
    return encode_rest(source, count, read, target, written);
}
#endif

size_t hydrant_base64_encode(const uint8_t *source, size_t count, uint8_t *target) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return encode_avx2(source, count, target);
#endif
    return encode_rest(source, count, 0, target, 0);
}
