/* larder - the program: so far it knows its name and its version.
 *
 * Usage: larder [FILE] [--directive value ...]
 *
 * Anything but --version and --help is refused in words with exit code 2, so that nobody mistakes this program for a
 * running server.
 */
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: larder [FILE] [--directive value ...]\n"
    "       larder --version | --help\n"
    "\n"
    "Starts the cache server with the configuration FILE; directives of the command line win over the file.\n";

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("larder " LARDER_VERSION);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    fputs("larder: this build has no server in it; it answers --version and --help only\n", stderr);
    return 2;
}
