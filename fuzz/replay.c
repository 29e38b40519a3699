/* replay - runs a fuzz target over saved inputs, for compilers without libFuzzer.
 *
 * Usage: NAME_fuzz FILE|DIRECTORY ...     each file is given to LLVMFuzzerTestOneInput once, in the order of names.
 *
 * Why: the corpus is a regression test of its own. Linked with this file every build (gcc, ASan, TSan) can run it, and
 * only the search for new inputs needs clang.
 *
 * An argument that cannot be read, or no input at all, is a failure: a corpus that went missing must not pass.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static int input_count;

static void fail(const char *path)
{
    fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
    exit(1);
}

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat st;
    if (!file || fstat(fileno(file), &st) != 0)
        fail(path);

    /* An allocation of exactly the input's size, so that a read past its end is seen by ASan. */
    size_t length = (size_t)st.st_size;
    uint8_t *bytes = malloc(length ? length : 1);
    if (!bytes || fread(bytes, 1, length, file) != length)
        fail(path);
    fclose(file);

    printf("%s (%zu bytes)\n", path, length);
    fflush(stdout); /* the name of the input that crashes is the last line */
    LLVMFuzzerTestOneInput(bytes, length);
    free(bytes);
    input_count++;
}

static void replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        fail(path);
    if (!S_ISDIR(st.st_mode)) {
        replay_file(path);
        return;
    }

    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);
    if (count < 0)
        fail(path);
    for (int i = 0; i < count; i++) {
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            replay_file(inner);
        free(names[i]);
    }
    free(names);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%d inputs\n", input_count);
    return input_count > 0 ? 0 : 1;
}
