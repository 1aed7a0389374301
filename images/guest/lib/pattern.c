// SPDX-License-Identifier: GPL-2.0-only
#include "pattern.h"

#include <string.h>

#define STEP 0x9e3779b97f4a7c15ull /* 2^64 / golden ratio, odd: visits every word */
#define MIX 0xbf58476d1ce4e5b9ull
#define FOLD 0x94d049bb133111ebull

static inline uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * MIX;
	return x ^ (x >> 27);
}

static inline uint64_t word_at(struct pattern p, uint64_t index)
{
	return mix(p.base + index * STEP);
}

struct pattern pattern_of(uint64_t seed, uint64_t socket)
{
	/* Mixed twice: neighbouring seeds and sockets must not give shifted copies of one stream. */
	return (struct pattern){.base = mix(mix(seed + FOLD) * FOLD + socket * STEP)};
}

void pattern_fill(struct pattern p, uint64_t offset, void *to, size_t len)
{
	uint64_t x = p.base + offset / 8 * STEP, word;
	unsigned char *at = to;

	for (; len >= 8; len -= 8, at += 8, x += STEP) {
		word = mix(x);
		memcpy(at, &word, 8);
	}
	word = mix(x);
	memcpy(at, &word, len);
}

static void check_bytes(struct pattern p, uint64_t offset, const unsigned char *from, size_t len, struct mismatch *bad)
{
	size_t i;

	for (i = 0; i < len; i++) {
		uint64_t at = offset + i;

		if (from[i] == (unsigned char)(word_at(p, at / 8) >> (at % 8 * 8)))
			continue;
		if (bad->first < 0)
			bad->first = (int64_t)at;
		bad->count++;
	}
}

void pattern_check(struct pattern p, uint64_t offset, const void *data, size_t len, struct mismatch *bad)
{
	const unsigned char *from = data;
	size_t head = -offset % 8 < len ? -offset % 8 : len;
	uint64_t x, word;

	check_bytes(p, offset, from, head, bad);
	offset += head, from += head, len -= head;
	x = p.base + offset / 8 * STEP;
	for (; len >= 8; len -= 8, offset += 8, from += 8, x += STEP) {
		memcpy(&word, from, 8);
		if (__builtin_expect(word != mix(x), 0))
			check_bytes(p, offset, from, 8, bad);
	}
	check_bytes(p, offset, from, len, bad);
}

static inline uint64_t fold(uint64_t state, uint64_t word)
{
	state = (state ^ word) * FOLD;
	return state ^ (state >> 29);
}

static void add_bytes(struct stream_hash *h, const unsigned char *from, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		h->partial |= (uint64_t)from[i] << (h->length % 8 * 8);
		if (++h->length % 8 == 0) {
			h->state = fold(h->state, h->partial);
			h->partial = 0;
		}
	}
}

void stream_hash_add(struct stream_hash *h, const void *data, size_t len)
{
	const unsigned char *from = data;
	size_t head = -h->length % 8 < len ? -h->length % 8 : len;
	uint64_t state, word;

	add_bytes(h, from, head);
	from += head, len -= head;
	state = h->state;
	for (; len >= 8; len -= 8, from += 8, h->length += 8) {
		memcpy(&word, from, 8);
		state = fold(state, word);
	}
	h->state = state;
	add_bytes(h, from, len);
}

uint64_t stream_hash_value(const struct stream_hash *h)
{
	/* The length goes in last, so that trailing zero bytes and empty streams count. */
	return mix(fold(fold(h->state, h->partial), h->length));
}
