/* From arguments to a call that can run: which command, which keys, and what these need from memory. Takes no lock and looks at no state of the session but its
 * database, so a batch is prepared before its first call runs, which may be SELECT or AUTH.
 *
 * Worker threads only. Not here: how calls run (dispatch.c). */
#include "command/prepare.h"

#include "base/assert.h"
#include "command/command.h"
#include "command/engine.h"

/* ---- the call object ------------------------------------------------------------------------------------------------ */
void call_init(struct call *call, struct engine *engine, struct random *random)
{
    *call = (struct call){.engine = engine, .random = random};
    arena_init_lent(&call->arena, call->memory, sizeof call->memory);
}

void call_fini(struct call *call)
{
    assert(!call->park);
    arena_fini(&call->arena);
}

void call_reset(struct call *call)
{
    assert(!call->park);
    arena_reset(&call->arena);
    call->argv = NULL;
    call->keys = NULL;
    call->key_count = 0;
}

/* ---- prepare -------------------------------------------------------------------------------------------------------- */
static inline void prepare_key(struct call *call, unsigned argument, enum key_use use, struct call_key *ret_key)
    ON(worker)
{
    ret_key->key = keyspace_key(call->engine->keyspace, call->session->db, call->argv[argument]);
    ret_key->argument = argument;
    ret_key->use = use;
    ret_key->timed = false;
    ret_key->entry = NULL;
    ret_key->rule = NULL;
    ret_key->outcome = NULL;
    ret_key->sight.blind = true;
}

NOINLINE static err prepare_listed_keys(struct call *call) ON(worker)
{
    const struct command *c = call->command;
    int count = command_keys(c, call->argc, call->argv, 0, NULL);
    if (count <= 0) {
        return OK; /* also when they make no sense: the verb finds that, too, and knows the words */
    }
    struct key_place *places = call_alloc(call, (size_t)count * sizeof *places);
    call->keys = call_alloc(call, (size_t)count * sizeof *call->keys);
    call->locks = call_alloc(call, (size_t)count * sizeof *call->locks);
    if (!places || !call->keys || !call->locks) {
        return ERR_NOMEM;
    }
    command_keys(c, call->argc, call->argv, (unsigned)count, places);
    for (int i = 0; i < count; i++) {
        prepare_key(call, places[i].argument, places[i].use, &call->keys[i]);
        call->locks[i] = call->keys[i].key;
    }
    call->key_count = (unsigned)count;
    return OK;
}

static err prepare_keys(struct call *call) ON(worker)
{
    const struct command *c = call->command;
    if (UNLIKELY(c->only_key == 0 || c->only_key >= call->argc)) {
        return prepare_listed_keys(call);
    }
    call->keys = &call->only_key;
    call->key_count = 1;
    prepare_key(call, c->only_key, command_key_use(c, 0, call->argc, call->argv), call->keys);
    return OK;
}

FLATTEN void prepare_call(struct call *call)
{
    call->error_text = (slice){0};
    call->key_count = 0;
    call->refused = command_resolve(call->argc, call->argv, &call->command);
    if (call->refused == OK) {
        call->refused = prepare_keys(call);
    }
}

FLATTEN void prepare_fetch(struct call *const *calls, unsigned count)
{
    enum { FETCH_KEYS = 64 }; /* looked at together; a batch rarely has more */
    struct look looks[FETCH_KEYS];
    unsigned look_count = 0;
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < calls[i]->key_count; k++) {
            struct call_key *ck = &calls[i]->keys[k];
            looks[look_count++] =
                (struct look){.key = &ck->key, .sight = &ck->sight, .to_write = command_writes(calls[i]->command)};
            if (look_count == FETCH_KEYS) {
                shard_look(looks, look_count);
                look_count = 0;
            }
        }
    }
    shard_look(looks, look_count);
}

void prepare_approach(const struct call *call)
{
    if (call->key_count > 0) {
        shard_approach(&call->keys->sight);
    }
}

void forecast_add(struct forecast *f, const struct session *session, struct engine *engine, slice key)
{
    if (f->count < FORECAST_KEYS_MAX) {
        struct key *k = &f->keys[f->count++];
        *k = keyspace_key(engine->keyspace, session->db, key);
        k->bytes = (slice){0}; /* lent; its hash says where to look */
    }
}

void forecast_fetch(struct forecast *f)
{
    struct sight sights[FORECAST_KEYS_MAX];
    struct look looks[FORECAST_KEYS_MAX];
    for (unsigned i = 0; i < f->count; i++) {
        looks[i] = (struct look){.key = &f->keys[i], .sight = &sights[i]};
    }
    shard_look(looks, f->count);
    f->count = 0;
}
