/* The exit codes of the program. */
#ifndef MAIN_EXIT_H
#define MAIN_EXIT_H

enum exit_code {
#define EXIT(name, code, meaning) EXIT_##name = code,
#include "main/exit.def"
#undef EXIT
};

#endif
