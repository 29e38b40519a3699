/* What the kernel says about this process. Any thread unless it says otherwise. */
#ifndef OS_PROCESS_H
#define OS_PROCESS_H

#include <stdint.h>

#include "base/err.h"

int64_t process_id(void);
/* Resident memory; 0 when the kernel does not tell. Opens a file of /proc: for INFO and for memory limits once a turn, not once a call. */
uint64_t process_resident_bytes(void);

/* Memory of the machine; 0 when the kernel does not tell. */
uint64_t process_machine_bytes(void);

struct process_cpu {
    int64_t user_us;
    int64_t system_us;
};
/* CPU time of all threads so far. */
struct process_cpu process_cpu(void);

/* "Linux 6.1.0-18-amd64 x86_64". A static text; the first call is made before other threads start. */
const char *process_system_name(void);

/* Wall time in ms at which process_start_note() was called. */
int64_t process_start_wall_ms(void);
/* Once, first thing in main(). */
void process_start_note(void);

/* Raises the limit of open files to `wanted` or as near as the system allows; gives the limit that holds now. */
uint64_t process_raise_open_files(uint64_t wanted);

#endif
