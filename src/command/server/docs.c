/* COMMAND DOCS: what each command is for, and its arguments as a tree, from doc.def. Each text is read when it is asked for, into the call's arena; a text that cannot be
 * read is a bug of the table, and a test reads them all. */
#include <ctype.h>

#include "base/assert.h"
#include "base/num.h"
#include "command/command.h"
#include "command/verb.h"

static const struct doc {
    const char *name, *summary, *arguments;
} docs[] = {
#define DOC(name, summary, arguments) {name, summary, arguments},
#include "command/doc.def"
#undef DOC
};

struct argument {
    struct argument *next, *first; /* first: of those that it is made of */
    slice name, token, since;
    const char *type;
    int64_t key_spec; /* -1: no key */
    bool optional, multiple;
};

static const char *const plain_types[] = {"integer", "double", "key", "pattern", "unix-time"};

static const struct doc *doc_of(const struct command *c)
{
    static const struct doc none = {"", "", ""};
    for (size_t i = 0; i < countof(docs); i++) {
        if (strcmp(docs[i].name, c->name) == 0) {
            return &docs[i];
        }
    }
    return &none;
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */
struct reader {
    struct call *call;
    const char *at;
    bool failed; /* no memory */
};

static struct argument *read_list(struct reader *r, char separator, char end);

static bool takes(struct reader *r, char c)
{
    bool is_there = *r->at == c;
    r->at += is_there;
    return is_there;
}

static slice read_word(struct reader *r)
{
    size_t len = strcspn(r->at, " []{}()|@=#.");
    slice word = slice_make(r->at, len);
    assert(len > 0);
    r->at += len;
    return word;
}

static bool is_token(slice word)
{
    return isupper((unsigned char)word.ptr[0]);
}

static slice in_small_letters(struct reader *r, slice word)
{
    char *small = call_alloc(r->call, word.len);
    r->failed = r->failed || !small;
    for (size_t i = 0; small && i < word.len; i++) {
        small[i] = (char)tolower((unsigned char)word.ptr[i]);
    }
    return slice_make(small, small ? word.len : 0);
}

/* A name, and its type behind the last colon if that is one. */
static void take_name(struct argument *a, slice word)
{
    a->name = word;
    a->type = "string";
    for (size_t i = 0; i < countof(plain_types); i++) {
        slice type = slice_of(plain_types[i]);
        if (word.len > type.len + 1 && word.ptr[word.len - type.len - 1] == ':' &&
            slice_equal(slice_sub(word, word.len - type.len, SIZE_MAX), type)) {
            a->name = slice_sub(word, 0, word.len - type.len - 1);
            a->type = plain_types[i];
            a->key_spec = strcmp(a->type, "key") == 0 ? 0 : -1;
        }
    }
}

static void read_core(struct reader *r, struct argument *a)
{
    slice word = read_word(r);
    if (is_token(word) && !takes(r, ' ')) {
        a->name = in_small_letters(r, word);
        a->token = word;
        a->type = "pure-token";
        return;
    }
    if (is_token(word)) {
        a->token = word;
        word = read_word(r);
    }
    take_name(a, word);
    if (takes(r, '(')) {
        a->type = "oneof";
        a->first = read_list(r, '|', ')');
    } else if (takes(r, '{')) {
        a->type = "block";
        a->first = read_list(r, ' ', '}');
    } else if (takes(r, '=')) {
        a->type = "pure-token";
        a->token = read_word(r);
    } else if (takes(r, '#')) {
        a->key_spec = *r->at++ - '0';
    }
}

static struct argument *read_argument(struct reader *r)
{
    struct argument *a = call_alloc(r->call, sizeof *a);
    if (!a) {
        r->failed = true;
        return NULL;
    }
    *a = (struct argument){.key_spec = -1};
    a->optional = takes(r, '[');
    read_core(r, a);
    if (r->failed) {
        return NULL;
    }
    if (takes(r, '@')) {
        a->since = slice_make(r->at, strspn(r->at, "0123456789."));
        while (a->since.len > 0 && a->since.ptr[a->since.len - 1] == '.') {
            a->since.len--; /* of the dots that say how often */
        }
        r->at += a->since.len;
    }
    if (strncmp(r->at, "...", 3) == 0) {
        a->multiple = true;
        r->at += 3;
    }
    if (a->optional) {
        assert(*r->at == ']');
        r->at++;
    }
    return a;
}

static struct argument *read_list(struct reader *r, char separator, char end)
{
    struct argument *first = NULL, **next = &first;
    do {
        *next = read_argument(r);
        if (r->failed) {
            return NULL;
        }
        next = &(*next)->next;
    } while (takes(r, separator));
    assert(*r->at == end);
    r->at += end != '\0';
    return first;
}

/* ---- answering ------------------------------------------------------------------------------------------------------ */
static size_t count_of(const struct argument *a)
{
    size_t count = 0;
    for (; a; a = a->next) {
        count++;
    }
    return count;
}

static void reply_text(struct reply *r, const char *name, slice value)
{
    reply_bytes(r, slice_of(name));
    reply_bytes(r, value);
}

static void reply_argument(struct reply *r, const struct argument *a)
{
    bool shows_name = !a->first;
    reply_map(r, 2 + shows_name + (a->key_spec >= 0) + (a->token.len > 0) + (a->since.len > 0) +
                     (a->optional || a->multiple) + (a->first != NULL));
    reply_text(r, "name", a->name);
    reply_text(r, "type", slice_of(a->type));
    if (shows_name) {
        reply_text(r, "display_text", a->name);
    }
    if (a->key_spec >= 0) {
        reply_bytes(r, S("key_spec_index"));
        reply_integer(r, a->key_spec);
    }
    if (a->token.len > 0) {
        reply_text(r, "token", a->token);
    }
    if (a->since.len > 0) {
        reply_text(r, "since", a->since);
    }
    if (a->optional || a->multiple) {
        reply_bytes(r, S("flags"));
        reply_set(r, (size_t)a->optional + a->multiple);
        if (a->optional) {
            reply_status(r, S("optional"));
        }
        if (a->multiple) {
            reply_status(r, S("multiple"));
        }
    }
    if (a->first) {
        reply_bytes(r, S("arguments"));
        reply_array(r, count_of(a->first));
        for (const struct argument *inner = a->first; inner; inner = inner->next) {
            reply_argument(r, inner);
        }
    }
}

/* The name and what there is to say. */
static err reply_doc(struct call *call, const struct command *c)
{
    const struct doc *d = doc_of(c);
    struct reader reader = {.call = call, .at = d->arguments};
    struct argument *arguments = d->arguments[0] ? read_list(&reader, ' ', '\0') : NULL;
    if (reader.failed) {
        return ERR_NOMEM;
    }
    struct reply *r = call->reply;
    unsigned subcommands = command_subcommand_count(c);
    reply_bytes(r, slice_of(c->name));
    reply_map(r, 3 + (arguments != NULL) + (subcommands > 0));
    reply_text(r, "summary", slice_of(d->summary));
    reply_text(r, "since", slice_of(c->since));
    reply_text(r, "group", slice_of(c->group));
    if (arguments) {
        reply_bytes(r, S("arguments"));
        reply_array(r, count_of(arguments));
        for (const struct argument *a = arguments; a; a = a->next) {
            reply_argument(r, a);
        }
    }
    err e = OK;
    if (subcommands > 0) {
        reply_bytes(r, S("subcommands"));
        reply_map(r, subcommands);
        for (unsigned i = 0; i < command_count() && e == OK; i++) {
            e = command_at(i)->container == c ? reply_doc(call, command_at(i)) : OK;
        }
    }
    return e;
}

static bool is_wanted(const struct call *call, const struct command *c)
{
    for (unsigned i = 2; i < call->argc; i++) {
        if (command_find(call_arg(call, i)) == c) {
            return true;
        }
    }
    return call->argc == 2 && !c->container;
}

err cmd_command_docs(struct call *call)
{
    size_t count = 0;
    for (unsigned i = 0; i < command_count(); i++) {
        count += is_wanted(call, command_at(i));
    }
    reply_map(call->reply, count);
    err e = OK;
    for (unsigned i = 0; i < command_count() && e == OK; i++) {
        e = is_wanted(call, command_at(i)) ? reply_doc(call, command_at(i)) : OK;
    }
    return e;
}
