/* What unit tests need to have rules: blocks read from text, and the fake driver for every source. */
#ifndef RULE_TESTING_H
#define RULE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/block.h"
#include "source/fake_driver.h"

/* `driver_of` of everything that takes one. */
static inline const struct driver *testing_driver(enum config_source_kind kind)
{
    (void)kind;
    return &driver_fake;
}

/* The blocks of a larder.conf, to be given back with blocks_unref(); the test fails when anything is wrong with them. */
static inline struct config_blocks *testing_blocks(const char *text)
{
    struct arena arena;
    struct faults faults;
    struct parse_lines lines;
    struct config_blocks *blocks = NULL;
    arena_init(&arena);
    faults_init(&faults);
    parse_lines_init(&lines);
    assert_int_equal(parse_text(slice_of(text), S("test"), &arena, &lines, &faults), OK);
    assert_int_equal(blocks_read(lines.first, 16, &faults, &blocks), OK);
    if (faults.count > 0) {
        fail_msg("%.*s", SLICE_ARG(faults_text(&faults)));
    }
    faults_fini(&faults);
    arena_fini(&arena);
    return blocks;
}

#endif
