#pragma once
#include <stddef.h>
#include <stdint.h>

/* The loops that cost most, with vector instructions where the processor has them
   (chosen at run time) and portable C where it has not. They touch exactly the bytes named. */

/* CRC-32C (Castagnoli, RFC 3720 section 12.1) of `count` bytes, continuing from `crc` (0 to start). */
uint32_t hydrant_crc32c(uint32_t crc, const void *bytes, size_t count);

/* Decodes base64 (RFC 4648 section 4) from `source` until the first byte outside the alphabet or
   the end of its `count` bytes. Writes whole bytes to `target`, which has room for at least
   `count / 4 * 3 + 3` bytes. Sets `consumed` to the number of alphabet bytes read and returns how
   many bytes were written: 6 bits a character, the last, incomplete byte dropped. Padding is the
   caller's. */
size_t hydrant_base64_decode(
    const uint8_t *source, size_t count, uint8_t *target, size_t *consumed);

/* Encodes `count` bytes as base64 with padding. Writes `(count + 2) / 3 * 4` characters to `target` and
   returns how many. */
size_t hydrant_base64_encode(const uint8_t *source, size_t count, uint8_t *target);

/* The portable forms, for tests that compare. */
uint32_t hydrant_crc32c_portable(uint32_t crc, const void *bytes, size_t count);
size_t hydrant_base64_decode_portable(
    const uint8_t *source, size_t count, uint8_t *target, size_t *consumed);
size_t hydrant_base64_encode_portable(const uint8_t *source, size_t count, uint8_t *target);
