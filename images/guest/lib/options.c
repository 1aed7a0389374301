// SPDX-License-Identifier: GPL-2.0-only
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "labjson.h"

static char problems[1500];

void options_problem(const char *fmt, ...)
{
	size_t len = strlen(problems);
	va_list ap;

	if (len)
		len += (size_t)snprintf(problems + len, sizeof(problems) - len, "; ");
	if (len >= sizeof(problems))
		return;
	va_start(ap, fmt);
	vsnprintf(problems + len, sizeof(problems) - len, fmt, ap);
	va_end(ap);
}

void options_done(void)
{
	if (problems[0])
		die(2, "%s; try --help", problems);
}

static void print_help(const struct option_row *rows, unsigned count, const char *about)
{
	unsigned i;

	printf("%s\nOptions:\n", about);
	for (i = 0; i < count; i++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", rows[i].name, rows[i].argument ? " " : "",
			 rows[i].argument ? rows[i].argument : "");
		printf("  %-22s %s%s\n", left, rows[i].help, rows[i].required ? " (required)" : "");
	}
	printf("  %-22s this text\n\nSizes may end in K, M or G (powers of 1024).\n", "--help");
}

static bool parse_number(const char *text, uint64_t *to)
{
	static const char suffixes[] = "KMG";
	const char *suffix;
	unsigned shift = 0;
	char *end;
	uint64_t n;

	if (*text < '0' || *text > '9') /* strtoull would take "-1" and " 1" */
		return false;
	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno)
		return false;
	if (*end && (suffix = strchr(suffixes, *end))) {
		shift = 10 * (unsigned)(suffix - suffixes + 1);
		end++;
	}
	if (*end || n > UINT64_MAX >> shift)
		return false;
	*to = n << shift;
	return true;
}

static void set_value(const struct option_row *row, const char *value)
{
	uint64_t n;

	if (row->kind == OPT_TEXT) {
		*(const char **)row->to = value;
		if (!*value)
			options_problem("--%s must not be empty", row->name);
		return;
	}
	if (!parse_number(value, &n))
		options_problem("--%s: \"%s\" is not a number", row->name, value);
	else if (n < row->min || n > row->max)
		options_problem("--%s must be %" PRIu64 " to %" PRIu64 ", not %" PRIu64, row->name, row->min, row->max,
				n);
	else
		*(uint64_t *)row->to = n;
}

static struct option_row *find_row(struct option_row *rows, unsigned count, const char *name, size_t len)
{
	unsigned i;

	for (i = 0; i < count; i++)
		if (strlen(rows[i].name) == len && !memcmp(rows[i].name, name, len))
			return &rows[i];
	return NULL;
}

/* Takes one option; returns how many words of argv it used. */
static int take_option(char **argv, int left, struct option_row *rows, unsigned count)
{
	const char *word = argv[0];
	size_t len = strcspn(word, "=");
	struct option_row *row = NULL;
	bool inlined = word[len] == '=';

	if (!strncmp(word, "--", 2))
		row = find_row(rows, count, word + 2, len - 2);
	if (!row) {
		options_problem("unknown argument \"%s\"", word);
		return 1;
	}
	row->required = false;
	if (row->kind == OPT_FLAG) {
		if (inlined)
			options_problem("--%s takes no value", row->name);
		*(bool *)row->to = true;
		return 1;
	}
	if (!inlined && left < 2) {
		options_problem("--%s needs %s", row->name, row->argument);
		return 1;
	}
	set_value(row, inlined ? word + len + 1 : argv[1]);
	return inlined ? 1 : 2;
}

void options_parse(int argc, char **argv, struct option_row *rows, unsigned count, const char *about)
{
	unsigned r;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help")) {
			print_help(rows, count, about);
			exit(0);
		}
	}
	for (i = 1; i < argc;)
		i += take_option(argv + i, argc - i, rows, count);
	for (r = 0; r < count; r++)
		if (rows[r].required)
			options_problem("--%s %s is missing", rows[r].name, rows[r].argument);
}
