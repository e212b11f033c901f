/* http_path: from a request's path to a file: what may be asked for at all, and what kind it is. Pure functions. */
#ifndef TT_NET_HTTP_PATH_H
#define TT_NET_HTTP_PATH_H

#include <stdbool.h>
#include <stddef.h>

enum { TT_MAX_HTTP_PATH_BYTES = 1024 };

/*
 * Whether a decoded path ("/demo/index.html") names something inside the folder that "/" stands for: it begins with '/', has no
 * empty segment but at its end, none that begins with a dot (so neither ".." nor hidden files), no backslash and no control
 * character, and is no longer than TT_MAX_HTTP_PATH_BYTES. n_bytes is what the request had, so that a zero byte is seen.
 */
bool tt_http_path_is_safe(const char *path, size_t n_bytes);

/* The Content-Type for a file name; application/octet-stream when the ending is not known. */
const char *tt_http_content_type(const char *path);

#endif
