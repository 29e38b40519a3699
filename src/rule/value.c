/* Rows to values; see value.h. Nothing here knows a rule or a key. */
#include "rule/value.h"

#include "base/assert.h"
#include "wire/json.h"

void row_value_init(struct row_value *v, enum config_value kind, size_t bytes_max)
{
    *v = (struct row_value){.kind = kind};
    buf_init(&v->out, bytes_max);
}

void row_value_fini(struct row_value *v)
{
    buf_fini(&v->out);
}

void row_value_restart(struct row_value *v)
{
    buf_truncate(&v->out, 0);
    v->row_count = 0;
    v->found = false;
}

static void append_column(struct buf *out, const struct source_column *c)
{
    switch (c->type) {
    case SOURCE_NULL: buf_append(out, S("null")); return;
    case SOURCE_NUMBER: buf_append(out, json_is_number(c->bytes) ? c->bytes : S("null")); return;
    case SOURCE_TEXT: json_append_string(out, c->bytes); return;
    case SOURCE_BLOB: json_append_base64(out, c->bytes); return;
    case SOURCE_BOOLEAN: buf_append(out, slice_starts(c->bytes, S("t")) ? S("true") : S("false")); return;
    case SOURCE_JSON: buf_append(out, c->bytes); return;
    }
    unreachable();
}

static void append_object(struct buf *out, const struct source_row *row)
{
    buf_append_byte(out, '{');
    for (unsigned i = 0; i < row->column_count; i++) {
        if (i > 0) {
            buf_append_byte(out, ',');
        }
        json_append_string(out, row->columns[i].name);
        buf_append_byte(out, ':');
        append_column(out, &row->columns[i]);
    }
    buf_append_byte(out, '}');
}

bool row_value_add(struct row_value *v, const struct source_row *row)
{
    v->row_count++;
    switch (v->kind) {
    case CONFIG_VALUE_STRING:
        v->found = row->columns[0].type != SOURCE_NULL;
        buf_append(&v->out, row->columns[0].bytes);
        return false;
    case CONFIG_VALUE_JSON:
        v->found = true;
        append_object(&v->out, row);
        return false;
    case CONFIG_VALUE_JSON_ARRAY:
        buf_append_byte(&v->out, v->row_count == 1 ? '[' : ',');
        append_object(&v->out, row);
        return !buf_failed(&v->out);
    }
    unreachable();
}

err row_value_finish(struct row_value *v)
{
    if (v->kind == CONFIG_VALUE_JSON_ARRAY) {
        v->found = true;
        buf_append(&v->out, v->row_count == 0 ? S("[]") : S("]"));
    }
    return v->out.failure;
}
