/* The table behind err.h. */
#include "base/err.h"

#include "base/assert.h"

static const struct err_row rows[ERR_COUNT] = {
    [OK] = {"OK", "OK", "OK", 200, ERR_WHOSE_NOBODY, "no error"},
#define ERR(name, resp, memcached, http, whose, text) \
    [ERR_##name] = {#name, resp, memcached, http, ERR_WHOSE_##whose, text},
#include "base/err.def"
#undef ERR
};

const struct err_row *err_row(err e)
{
    assert(e >= 0);
    assert(e < ERR_COUNT);
    return &rows[e];
}
