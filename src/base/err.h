/* Errors that are expected, as values. OK is 0. One row of err.def holds the constant, each door's text and whose fault it is;
 * the counters and the documentation come from the same row. A failing function leaves its outputs alone. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/attr.h"
#include "base/slice.h"

typedef enum err {
    OK = 0,
#define ERR(name, resp, memcached, http, whose, text) ERR_##name,
#include "base/err.def"
#undef ERR
    ERR_COUNT
} err;

enum err_whose { ERR_WHOSE_NOBODY, ERR_WHOSE_CALLER, ERR_WHOSE_SERVER, ERR_WHOSE_SOURCE };

struct err_row {
    const char *name;      /* "WRONGKIND" */
    const char *resp;      /* the prefix that Redis clients parse: "WRONGTYPE" */
    const char *memcached; /* the whole line */
    int http_status;
    enum err_whose whose;
    const char *text;
};

/* The row of an error; OK has one too. Never NULL. Any thread. */
const struct err_row *err_row(err e);

#endif
