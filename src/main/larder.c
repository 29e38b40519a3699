/* larder - the program: what the command line asks for.
 *
 *     larder [FILE] [--directive value ...]      starts the server
 *     larder check FILE [--directive value ...]  reads the configuration and tries its sources
 *     larder simulate TRACE [--option value ...] prints hit ratios of a trace, by policy and size
 *     larder --describe KIND                     prints a table of the program
 *     larder --version | --help
 *
 * What needs no server is a row of `tasks`; everything else on the command line is configuration. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "command/command.h"
#include "config/config.h"
#include "config/describe.h"
#include "main/exit.h"
#include "main/server.h"
#include "main/simulate.h"
#include "observe/log.h"
#include "os/clock.h"
#include "os/mem.h"
#include "os/pause.h"
#include "os/process.h"
#include "os/signal.h"
#include "rule/check.h"

extern char **environ;

enum { TEXT_BYTES_MAX = 4 << 20 };

static const char usage[] =
    "usage: larder [FILE] [--directive value ...]\n"
    "       larder check FILE [--directive value ...]\n"
    "       larder simulate TRACE [--sizes A,B,...] [--option value ...]\n"
    "       larder --describe options | metrics | errors | knobs | commands | exits\n"
    "       larder --version | --help\n"
    "\n"
    "Starts the cache server with the configuration FILE; `check` only reads it and tries its sources;\n"
    "`simulate` says how a trace of requests would have done in caches of different sizes. A directive of the command\n"
    "line (--port 7000) wins over the environment (LARDER_PORT=7000), which wins over the file.\n";

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static void describe_commands(struct buf *text)
{
    buf_append(text, S("name\tarity\tgroup\tsince\tacl\n"));
    for (unsigned i = 0; i < command_count(); i++) {
        const struct command *c = command_at(i);
        buf_printf(text, "%s\t%d\t%s\t%s\t%s\n", c->name, c->arity, c->group, c->since, c->acl);
    }
}

static void describe_exits(struct buf *text)
{
    buf_append(text, S("code\tmeaning\n"));
#define EXIT(name, code, meaning) buf_printf(text, "%d\t%s\n", code, meaning);
#include "main/exit.def"
#undef EXIT
}

static err describe(slice kind, struct buf *text)
{
    if (slice_equal(kind, S("commands"))) {
        describe_commands(text);
        return OK;
    }
    if (slice_equal(kind, S("exits"))) {
        describe_exits(text);
        return OK;
    }
    return describe_table(kind, text);
}

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

static enum exit_code run_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("larder " LARDER_VERSION);
    return EXIT_DONE;
}

static enum exit_code run_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    fputs(usage, stdout);
    return EXIT_DONE;
}

static enum exit_code run_describe(int argc, char **argv)
{
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    enum exit_code code = EXIT_DONE;
    if (argc != 3 || describe(slice_of(argv[2]), &text)) {
        fputs(usage, stderr);
        code = EXIT_USAGE;
    } else {
        fwrite(text.bytes, 1, text.len, stdout);
    }
    buf_fini(&text);
    return code;
}

/* Reads a configuration; one with mistakes is told on stderr, and NULL. */
static struct config *load_config(const struct config_input *input, struct buf *warnings)
{
    struct faults faults;
    struct config *config = NULL;
    faults_init(&faults);
    err e = config_load(input, &faults, warnings, &config);
    if (e) {
        slice text = e == ERR_CONFIG ? faults_text(&faults) : slice_of(err_row(e)->text);
        fprintf(stderr, "%.*s%s", SLICE_ARG(text), e == ERR_CONFIG ? "" : "\n");
    }
    faults_fini(&faults);
    return e ? NULL : config;
}

static enum exit_code run_check(int argc, char **argv)
{
    if (argc < 3 || argv[2][0] == '-') {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    struct config_input input = {
        .file = argv[2], .environment = environ, .arguments = argv + 3, .argument_count = (unsigned)(argc - 3)};
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    struct config *config = load_config(&input, &text);
    bool good = config && check_blocks(config->blocks, &text);
    fwrite(text.bytes, 1, text.len, stdout);
    if (good) {
        puts("the configuration is good");
    }
    config_free(config);
    buf_fini(&text);
    return good ? EXIT_DONE : EXIT_CONFIG;
}

/* clang-format off */
static const struct {
    const char *word; /* argv[1] */
    enum exit_code (*run)(int argc, char **argv);
} tasks[] = {
    {"--version", run_version},
    {"-v", run_version},
    {"--help", run_help},
    {"-h", run_help},
    {"--describe", run_describe},
    {"check", run_check},
    {"simulate", simulate_run},
};
/* clang-format on */

/* ---- the server -------------------------------------------------------------------------------------------------- */

static enum exit_code run_server(int argc, char **argv)
{
    bool has_file = argc > 1 && argv[1][0] != '-';
    int first = has_file ? 2 : 1;
    struct config_input input = {
        .file = has_file ? argv[1] : NULL,
        .environment = environ,
        .arguments = argv + first,
        .argument_count = (unsigned)(argc - first),
    };
    struct buf warnings;
    buf_init(&warnings, TEXT_BYTES_MAX);
    struct config *config = load_config(&input, &warnings);
    enum exit_code code = config ? server_run(argv[0], &input, config, buf_slice(&warnings)) : EXIT_CONFIG;
    buf_fini(&warnings);
    return code;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < countof(tasks); i++) {
        if (strcmp(argv[1], tasks[i].word) == 0) {
            return tasks[i].run(argc, argv);
        }
    }
    process_start_note();
    process_system_name();
    clock_init();
    pause_init();
    mem_init();
    signal_block();
    signal_report_crashes(NULL);
    return run_server(argc, argv);
}
