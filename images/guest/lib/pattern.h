/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The payload: byte i of socket k is a pure function of (seed, k, i), so the
 * receiver can check any part of a stream without having seen the rest.
 *
 * The stream is cut into little-endian 64-bit words. Word w is a bijective mix
 * of (base of the socket + w * odd constant): no two words, hence no two pages,
 * of a socket are alike. Two shifts and one multiplication, because a guest
 * under TCG pays for every instruction.
 */
#ifndef PATTERN_H
#define PATTERN_H

#include <stddef.h>
#include <stdint.h>

#define URGENT_BYTE '!' /* out of band: no byte of a stream */

struct pattern {
	uint64_t base;
};

/* Order-sensitive hash of one stream; may be fed at any byte boundary. */
struct stream_hash {
	uint64_t state;
	uint64_t partial; /* the bytes of the last, unfinished word */
	uint64_t length;
};

/* Where a stream differed from its pattern. */
struct mismatch {
	uint64_t count;
	int64_t first; /* offset in the stream, -1: none */
};

struct pattern pattern_of(uint64_t seed, uint64_t socket);

/* Writes the bytes from `offset` (a multiple of 8) on. */
void pattern_fill(struct pattern p, uint64_t offset, void *to, size_t len);

/* Compares received bytes with the pattern from any offset on. */
void pattern_check(struct pattern p, uint64_t offset, const void *from, size_t len, struct mismatch *bad);

void stream_hash_add(struct stream_hash *h, const void *from, size_t len);
uint64_t stream_hash_value(const struct stream_hash *h);

#endif
