/* SPDX-License-Identifier: GPL-2.0-only */
/* The buffer that zc-sender --repeat sends over and over. */
#ifndef ZC_REPEAT_H
#define ZC_REPEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Makes the buffer, all sockets' alike, of the bytes of socket 0. It is sent by send(), or as_file by sendfile(). */
unsigned char *repeat_prepare(size_t size, uint64_t seed, bool as_file);
/* Sends n bytes of it from there on: as send(2) returns. SIGPIPE is to be ignored. */
ssize_t repeat_send(int to, size_t from, size_t n);

#endif
