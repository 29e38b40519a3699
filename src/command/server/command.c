/* COMMAND and its subcommands: the command table as clients read it. Everything is taken from the rows; see table.c. */
#include "command/command.h"

#include "command/help.h"
#include "command/verb.h"

/* The words of a text as statuses, behind their count. */
static void reply_words(struct reply *r, const char *text, void (*head)(struct reply *, size_t))
{
    size_t count = 0;
    for (const char *at = text; command_next_word(&at).len > 0;) {
        count++;
    }
    head(r, count);
    for (const char *at = text; count > 0; count--) {
        reply_status(r, command_next_word(&at));
    }
}

static void reply_flags(struct reply *r, const struct command *c)
{
    const char *flags[COMMAND_FLAGS_MAX];
    unsigned count = command_flags(c, flags);
    reply_set(r, count);
    for (unsigned i = 0; i < count; i++) {
        reply_status(r, slice_of(flags[i]));
    }
}

static void reply_tips(struct reply *r, const struct command *c)
{
    slice tips = slice_of(command_tips(c));
    size_t count = tips.len > 0;
    for (size_t i = 0; i < tips.len; i++) {
        count += tips.ptr[i] == ';';
    }
    reply_set(r, count);
    while (count-- > 0) {
        size_t end = slice_find_byte(tips, ';');
        reply_bytes(r, slice_sub(tips, 0, end));
        tips = slice_sub(tips, end == SIZE_MAX ? tips.len : end + 1, SIZE_MAX);
    }
}

static void reply_field(struct reply *r, const char *name, int64_t value)
{
    reply_bytes(r, slice_of(name));
    reply_integer(r, value);
}

static void reply_spec(struct reply *r, const struct key_spec *s)
{
    reply_map(r, 3);
    reply_bytes(r, S("flags"));
    reply_words(r, s->flags, reply_set);
    reply_bytes(r, S("begin_search"));
    reply_map(r, 2);
    reply_bytes(r, S("type"));
    reply_bytes(r, S("index"));
    reply_bytes(r, S("spec"));
    reply_map(r, 1);
    reply_field(r, "index", s->first);
    reply_bytes(r, S("find_keys"));
    reply_map(r, 2);
    reply_bytes(r, S("type"));
    reply_bytes(r, s->range == RANGE_COUNTED ? S("keynum") : S("range"));
    reply_bytes(r, S("spec"));
    reply_map(r, 3);
    if (s->range == RANGE_COUNTED) {
        reply_field(r, "keynumidx", 0);
        reply_field(r, "firstkey", 1);
        reply_field(r, "keystep", s->step);
    } else {
        reply_field(r, "lastkey", s->last < 0 ? s->last : s->last - s->first);
        reply_field(r, "keystep", s->step);
        reply_field(r, "limit", 0);
    }
}

static void reply_specs(struct reply *r, const struct command *c)
{
    size_t count = 0;
    while (count < COMMAND_KEY_SPECS_MAX && c->specs[count].range != RANGE_NONE) {
        count++;
    }
    reply_set(r, count);
    for (size_t i = 0; i < count; i++) {
        reply_spec(r, &c->specs[i]);
    }
}

static void reply_row(struct reply *r, const struct command *c)
{
    int first, last, step;
    command_legacy_range(c, &first, &last, &step);
    reply_array(r, 10);
    reply_bytes(r, slice_of(c->name));
    reply_integer(r, c->arity);
    reply_flags(r, c);
    reply_integer(r, first);
    reply_integer(r, last);
    reply_integer(r, step);
    reply_words(r, c->acl, reply_set);
    reply_tips(r, c);
    reply_specs(r, c);
    unsigned subcommands = command_subcommand_count(c);
    reply_array(r, subcommands);
    for (unsigned i = 0; subcommands > 0 && i < command_count(); i++) {
        if (command_at(i)->container == c) {
            reply_row(r, command_at(i));
        }
    }
}

static unsigned top_count(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < command_count(); i++) {
        count += command_at(i)->container == NULL;
    }
    return count;
}

static void reply_all(struct reply *r)
{
    reply_array(r, top_count());
    for (unsigned i = 0; i < command_count(); i++) {
        if (!command_at(i)->container) {
            reply_row(r, command_at(i));
        }
    }
}

err cmd_command(struct call *call)
{
    reply_all(call->reply);
    return OK;
}

err cmd_command_count(struct call *call)
{
    reply_integer(call->reply, top_count());
    return OK;
}

err cmd_command_info(struct call *call)
{
    if (call->argc == 2) {
        reply_all(call->reply);
        return OK;
    }
    reply_array(call->reply, call->argc - 2);
    for (unsigned i = 2; i < call->argc; i++) {
        const struct command *c = command_find(call_arg(call, i));
        if (c) {
            reply_row(call->reply, c);
        } else {
            reply_null_array(call->reply);
        }
    }
    return OK;
}

/* ---- LIST ----------------------------------------------------------------------------------------------------------- */
typedef bool command_filter(const struct command *c, slice argument);

static bool matches_pattern(const struct command *c, slice pattern)
{
    return slice_glob(pattern, slice_of(c->name), true);
}

static bool matches_category(const struct command *c, slice category)
{
    const char *at = c->acl;
    for (slice word = command_next_word(&at); word.len > 0; word = command_next_word(&at)) {
        if (slice_equal_nocase(slice_sub(word, 1, SIZE_MAX), category)) {
            return true;
        }
    }
    return false;
}

static bool matches_module(const struct command *c, slice module)
{
    (void)c;
    (void)module;
    return false; /* every command is built in */
}

static bool matches_all(const struct command *c, slice argument)
{
    (void)c;
    (void)argument;
    return true;
}

static command_filter *filter_called(struct call *call, unsigned index)
{
    static const struct {
        const char *name;
        command_filter *filter;
    } filters[] = {{"PATTERN", matches_pattern}, {"ACLCAT", matches_category}, {"MODULE", matches_module}};
    for (size_t i = 0; i < countof(filters); i++) {
        if (call_arg_is(call, index, slice_of(filters[i].name))) {
            return filters[i].filter;
        }
    }
    return NULL;
}

err cmd_command_list(struct call *call)
{
    command_filter *filter = matches_all;
    slice argument = S("");
    if (call->argc > 2) {
        filter = call->argc == 5 && call_arg_is(call, 2, S("FILTERBY")) ? filter_called(call, 3) : NULL;
        if (!filter) {
            return ERR_SYNTAX;
        }
        argument = call_arg(call, 4);
    }
    size_t count = 0;
    for (unsigned i = 0; i < command_count(); i++) {
        count += filter(command_at(i), argument);
    }
    reply_array(call->reply, count);
    for (unsigned i = 0; i < command_count(); i++) {
        if (filter(command_at(i), argument)) {
            reply_bytes(call->reply, slice_of(command_at(i)->name));
        }
    }
    return OK;
}

/* ---- GETKEYS -------------------------------------------------------------------------------------------------------- */
/* The keys of the command line behind the subcommand. */
static err find_keys(struct call *call, struct key_place **ret_places, int *ret_count)
{
    unsigned argc = call->argc - 2;
    const slice *argv = call->argv + 2;
    const struct command *c;
    err e = command_resolve(argc, argv, &c);
    if (e == ERR_UNKNOWN_COMMAND || e == ERR_UNKNOWN_SUBCOMMAND) {
        return call_fail(call, e, "Invalid command specified");
    }
    if (c->specs[0].range == RANGE_NONE) {
        return call_fail(call, ERR_INVALID, "The command has no key arguments");
    }
    if (e == ERR_ARITY) {
        return call_fail(call, e, "Invalid number of arguments specified for command");
    }
    struct key_place *places = call_alloc(call, argc * sizeof *places);
    if (!places) {
        return ERR_NOMEM;
    }
    int count = command_keys(c, argc, argv, argc, places);
    if (count < 0) {
        return call_fail(call, ERR_INVALID, "Invalid arguments specified for command");
    }
    *ret_places = places;
    *ret_count = count;
    return OK;
}

err cmd_command_getkeys(struct call *call)
{
    struct key_place *places = NULL;
    int count = 0;
    err e = find_keys(call, &places, &count);
    if (e != OK) {
        return e;
    }
    reply_array(call->reply, (size_t)count);
    for (int i = 0; i < count; i++) {
        reply_bytes(call->reply, call_arg(call, 2 + places[i].argument));
    }
    return OK;
}

/* What is done to the key. Where that hangs on the other arguments, their use of it says which. */
static const char *flags_of(const struct key_place *place)
{
    if (!strstr(place->spec->flags, "variable_flags")) {
        return place->spec->flags;
    }
    return place->use == KEY_REPLACES ? "OW update" : "RW access update";
}

err cmd_command_getkeysandflags(struct call *call)
{
    struct key_place *places = NULL;
    int count = 0;
    err e = find_keys(call, &places, &count);
    if (e != OK) {
        return e;
    }
    reply_array(call->reply, (size_t)count);
    for (int i = 0; i < count; i++) {
        reply_array(call->reply, 2);
        reply_bytes(call->reply, call_arg(call, 2 + places[i].argument));
        reply_words(call->reply, flags_of(&places[i]), reply_set);
    }
    return OK;
}

err cmd_command_help(struct call *call)
{
    static const char *const lines[] = {
        "(no subcommand)",
        "    All commands with their properties.",
        "COUNT",
        "    How many commands there are.",
        "DOCS [command ...]",
        "    What these commands, or all, are for, and their arguments.",
        "GETKEYS command [argument ...]",
        "    The keys among these arguments.",
        "GETKEYSANDFLAGS command [argument ...]",
        "    The same, with what the command does to each.",
        "INFO [command ...]",
        "    The properties of these commands, or of all.",
        "LIST [FILTERBY (MODULE name|ACLCAT category|PATTERN glob)]",
        "    The names of all commands, or of those that match.",
        NULL,
    };
    reply_help(call, lines);
    return OK;
}
