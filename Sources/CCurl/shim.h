#pragma once
#include <curl/curl.h>

/* curl_easy_setopt and curl_easy_getinfo are variadic, which Swift cannot call: one typed wrapper
   for each kind of argument. */

typedef size_t (*hydrant_data_callback)(char *buffer, size_t size, size_t count, void *context);
typedef int (*hydrant_seek_callback)(void *context, curl_off_t offset, int origin);

static inline CURLcode hydrant_set_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode hydrant_set_size(CURL *easy, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode hydrant_set_string(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode hydrant_set_pointer(CURL *easy, CURLoption option, void *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode hydrant_set_data_callback(
    CURL *easy, CURLoption option, hydrant_data_callback callback) {
    return curl_easy_setopt(easy, option, callback);
}
static inline CURLcode hydrant_set_seek_callback(CURL *easy, hydrant_seek_callback callback) {
    return curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, callback);
}
static inline CURLcode hydrant_get_long(CURL *easy, CURLINFO info, long *value) {
    return curl_easy_getinfo(easy, info, value);
}
static inline CURLMcode hydrant_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}
static inline CURLMSG hydrant_message_kind(const CURLMsg *message) { return message->msg; }
static inline CURLcode hydrant_message_result(const CURLMsg *message) {
    return message->data.result;
}
static inline CURL *hydrant_message_easy(const CURLMsg *message) { return message->easy_handle; }
