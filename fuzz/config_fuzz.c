/* config_fuzz - the configuration file, entered where the server enters it: config_load() of a file with the input's bytes. What stands
 * behind the first NUL byte is then given to CONFIG SET, for a directive chosen by its first byte.
 *
 * What must hold besides not crashing: a refused file has at least one fault and an accepted one has none; what CONFIG GET prints of a
 * changeable directive CONFIG SET accepts and prints the same again; each rule's own pattern matches a key that it shares with itself. */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "config/config.h"

static void set_and_print(const struct config *c, enum option o, slice value, struct buf *ret_printed)
{
    struct config *next;
    struct config_change change = {config_name(o), value};
    struct buf words;
    buf_init(&words, 1 << 20);
    err e = config_set(c, &change, 1, &words, &next);
    assert((e == OK) == (words.len == 0));
    if (e == OK) {
        config_value(next, o, ret_printed);
        config_free(next);
    }
    buf_fini(&words);
}

static void check_set(const struct config *c, slice text)
{
    enum option o = (unsigned char)text.ptr[0] % OPTION_COUNT;
    struct buf once, twice;
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    set_and_print(c, o, slice_sub(text, 1, SIZE_MAX), &once);
    if (once.len > 0 && !memchr(once.bytes, '"', once.len) && !memchr(once.bytes, '\'', once.len)) {
        set_and_print(c, o, buf_slice(&once), &twice);
        assert(slice_equal(buf_slice(&once), buf_slice(&twice)));
    }
    buf_fini(&once);
    buf_fini(&twice);
}

static void check_blocks(const struct config_blocks *b)
{
    for (unsigned i = 0; i < b->rule_count; i++) {
        const struct config_rule *rule = &b->rules[i];
        if (rule->pattern.text.len > 64) {
            continue; /* the search for a key is quadratic */
        }
        assert((rule->source != NULL) == (rule->load.piece_count > 0));
        assert(rule->wait_timeout_ms > 0);
        struct buf key;
        slice parts[PATTERN_PART_COUNT_MAX];
        buf_init(&key, 1 << 16);
        err e = pattern_common_key(&rule->pattern, &rule->pattern, &key);
        assert(e == OK);
        assert(pattern_match(&rule->pattern, buf_slice(&key), parts));
        buf_fini(&key);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    slice input = slice_make(bytes, length);
    size_t nul = slice_find_byte(input, '\0');
    slice file = slice_sub(input, 0, nul);
    slice change = nul == SIZE_MAX ? S("") : slice_sub(input, nul + 1, SIZE_MAX);

    int fd = memfd_create("config", 0);
    assert(fd >= 0);
    ssize_t written = file.len ? write(fd, file.ptr, file.len) : 0;
    assert(written == (ssize_t)file.len);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);

    struct faults faults;
    struct buf warnings;
    faults_init(&faults);
    buf_init(&warnings, 1 << 20);
    struct config *c = NULL;
    err e = config_load(&(struct config_input){.file = path}, &faults, &warnings, &c);
    assert((e == OK) == (faults.count == 0));
    assert(faults_text(&faults).len > 0 || e == OK);
    if (e == OK) {
        check_blocks(c->blocks);
        if (change.len > 0) {
            check_set(c, change);
        }
        config_free(c);
    }
    faults_fini(&faults);
    buf_fini(&warnings);
    close(fd);
    return 0;
}
