/* SPDX-License-Identifier: GPL-2.0-only */
/* Long options from one table: the table is the parser, the check and the --help text. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum option_kind { OPT_FLAG, OPT_NUMBER, OPT_TEXT };

struct option_row {
	const char *name; /* without the dashes */
	enum option_kind kind;
	void *to; /* bool *, uint64_t * or const char ** */
	const char *argument; /* how --help calls the value */
	const char *help;
	uint64_t min, max; /* of a number */
	bool required;
};

/* Fills the table's variables. Prints the help and exits 0 when asked; problems are collected. */
void options_parse(int argc, char **argv, struct option_row *rows, unsigned count, const char *about);

/* Adds a problem that the table cannot express. */
__attribute__((format(printf, 1, 2))) void options_problem(const char *fmt, ...);

/* Dies with status 2 and one message when there were problems. */
void options_done(void);

#endif
