/* SPDX-License-Identifier: GPL-2.0-only */
/* Commands on standard input, one a line. */
#ifndef COMMANDS_H
#define COMMANDS_H

/*
 * Has the memory for commands before they come: read() into a page that a process has not yet is EFAULT where its cgroup
 * is at its limit, and nobody may be killed for it.
 */
void commands_prepare(void);

/* Takes what is there and obeys each whole line of it; at the end of the file calls `quit`. */
void commands_read(void (*obey)(const char *command), void (*quit)(void));

#endif
