#pragma once
#include <zlib.h>

/* The init functions are macros in zlib.h, which Swift cannot call. */
static inline int hydrant_deflate_init(z_stream *stream, int level, int window_bits) {
    return deflateInit2(stream, level, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY);
}

static inline int hydrant_inflate_init(z_stream *stream, int window_bits) {
    return inflateInit2(stream, window_bits);
}
