# SPDX-License-Identifier: GPL-2.0-only
# How programs of the guests are built: statically, for the guest image has no C library, and with the lab's own small
# library at hand, which lies here. A Makefile names PROGRAMS, and NAME_SOURCES where that is more than NAME.c, and
# includes this file. A folder of sources without a Makefile is built by this file alone: each .c file is a program.
#   make [-C folder] LAB=images/guest/lib [OUT=directory] [CC=compiler]
LAB ?= $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
CC = gcc
OUT ?= build
CFLAGS = -static -O2 -Wall -Wextra -Werror -std=gnu11 -I$(LAB)
PROGRAMS ?= $(basename $(wildcard *.c))
LIBRARY = $(OUT)/.lib/liblab.a

all: $(addprefix $(OUT)/,$(PROGRAMS))

$(OUT)/.lib/%.o: $(LAB)/%.c $(wildcard $(LAB)/*.h) $(MAKEFILE_LIST)
	@mkdir -p $(OUT)/.lib
	$(CC) $(CFLAGS) -c -o $@ $<

# of which a program takes what it calls
$(LIBRARY): $(patsubst $(LAB)/%.c,$(OUT)/.lib/%.o,$(wildcard $(LAB)/*.c))
	$(AR) rcsD $@ $^

.SECONDEXPANSION:
$(addprefix $(OUT)/,$(PROGRAMS)): $(OUT)/%: $$(or $$($$*_SOURCES),$$*.c) $(LIBRARY) $(wildcard *.h) $(MAKEFILE_LIST)
	$(CC) $(CFLAGS) -o $@ $(or $($*_SOURCES),$*.c) $(LIBRARY)

clean:
	rm -rf $(OUT)/.lib $(addprefix $(OUT)/,$(PROGRAMS))

.PHONY: all clean
