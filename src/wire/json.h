/* JSON as text, written piece by piece into a buffer: what rows of a source become. Only rendering of single values; who builds an object
 * or an array writes the punctuation between them. Pure; any thread. Failures stay in the buffer (buf_failed()). */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include "base/buf.h"

/* A string in quotes. Control characters are escaped; bytes that are not valid UTF-8 become U+FFFD, one for each, so that the result
 * is JSON whatever came in. */
void json_append_string(struct buf *out, slice text);

/* A string in quotes that holds the bytes in base64 (RFC 4648, section 4, with padding). */
void json_append_base64(struct buf *out, slice bytes);

/* Whether the text is a JSON number as it stands ("inf" and "nan" are not). */
bool json_is_number(slice text);

#endif
