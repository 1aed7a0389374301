/* SPDX-License-Identifier: GPL-2.0-only */
/* Commands on standard input, one a line. */
#ifndef COMMANDS_H
#define COMMANDS_H

/* Takes what is there and obeys each whole line of it; at the end of the file calls `quit`. */
void commands_read(void (*obey)(const char *command), void (*quit)(void));

#endif
