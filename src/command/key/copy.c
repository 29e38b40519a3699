/* COPY and MOVE: a second key with the same value, the same key in another database.
 *
 * The key of another database joins the call when its number is known, which is in the verb; so the row's second key, which stands for the same name in
 * the session's database, is only looked at when COPY names a database. */
#include "command/command.h"
#include "command/key/transfer.h"
#include "command/use.h"
#include "command/verb.h"

struct words {
    bool replace;
    unsigned db_index; /* of the argument with the last DB; 0: none */
};

/* Reads the word at *index, and moves that to the word's own argument if it has one. False: there is no such word. */
static bool read_word(unsigned argc, const slice *argv, unsigned *index, struct words *w)
{
    if (slice_equal_nocase(argv[*index], S("REPLACE"))) {
        w->replace = true;
        return true;
    }
    if (slice_equal_nocase(argv[*index], S("DB")) && *index + 1 < argc) {
        w->db_index = ++*index;
        return true;
    }
    return false;
}

/* Numbers are checked word by word, as Redis does: the first mistake is the one that is told. */
static err parse_words(struct call *call, struct words *ret_words, unsigned *ret_db)
{
    struct words w = {0};
    unsigned db = call->session->db;
    for (unsigned i = 3; i < call->argc; i++) {
        if (!read_word(call->argc, call->argv, &i, &w)) {
            return ERR_SYNTAX;
        }
        err e = w.db_index == i ? transfer_db(call, i, &db) : OK;
        if (e != OK) {
            return e;
        }
    }
    *ret_words = w;
    *ret_db = db;
    return OK;
}

enum key_use use_copy(unsigned spec, unsigned argc, const slice *argv)
{
    struct words w = {0};
    for (unsigned i = 3; i < argc; i++) {
        if (!read_word(argc, argv, &i, &w)) {
            return KEY_PEEKS;
        }
    }
    if (spec == 0) {
        return KEY_READS;
    }
    if (w.db_index) {
        return KEY_PEEKS;
    }
    return w.replace ? KEY_REPLACES : KEY_NEEDS;
}

err cmd_copy(struct call *call)
{
    struct words w = {0};
    unsigned db = 0, to = 1;
    err e = parse_words(call, &w, &db);
    if (e != OK) {
        return e;
    }
    if (db == call->session->db && slice_equal(call_arg(call, 1), call_arg(call, 2))) {
        return ERR_SAME_OBJECT;
    }
    if (!call_entry(call, 0)) {
        call_count_look(call, 0);
        reply_integer(call->reply, 0);
        return OK;
    }
    e = call_need_room(call, entry_bytes(call_entry(call, 0))); /* before a key joins the call, which may run again */
    if (e == OK && w.db_index) {
        e = call_key_in_db(call, 1, db, w.replace ? KEY_REPLACES : KEY_NEEDS, &to);
    }
    if (e != OK) {
        return e;
    }
    call_count_look(call, 0);
    bool taken = !w.replace && call_entry(call, to);
    if (!taken && (e = transfer_copy(call, 0, to, EVENT_copy_to)) != OK) {
        return e;
    }
    reply_integer(call->reply, !taken);
    return OK;
}

err cmd_move(struct call *call)
{
    unsigned db, to;
    err e = transfer_db(call, 2, &db);
    if (e != OK) {
        return e;
    }
    if (db == call->session->db) {
        return ERR_SAME_OBJECT;
    }
    if (!call_entry(call, 0)) {
        reply_integer(call->reply, 0);
        return OK;
    }
    e = call_key_in_db(call, 0, db, KEY_NEEDS, &to);
    if (e != OK) {
        return e;
    }
    bool taken = call_entry(call, to) != NULL;
    if (!taken && (e = transfer_move(call, 0, to, EVENT_move_from, EVENT_move_to)) != OK) {
        return e;
    }
    reply_integer(call->reply, !taken);
    return OK;
}
