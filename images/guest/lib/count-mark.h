/* SPDX-License-Identifier: GPL-2.0-only */
/* How a guest program tells the counter outside (images/qemu/lab-insn.c) where a measurement begins and ends. */
#ifndef COUNT_MARK_H
#define COUNT_MARK_H

/*
 * A long NOP whose displacement nobody else uses: it costs one instruction, needs no privilege, and the plugin sees it
 * at the very instruction. Bytes: nopl disp32(%rax,%rax,1) with disp32 = "lab" and the number of the mark.
 */
#define COUNT_MARK_PREFIX 0x0f, 0x1f, 0x84, 0x00, 'l', 'a', 'b'
#define COUNT_BEGIN 1
#define COUNT_END 2

#define COUNT_TEXT_(...) #__VA_ARGS__
#define COUNT_TEXT(...) COUNT_TEXT_(__VA_ARGS__)
#define count_mark(number) __asm__ volatile(".byte " COUNT_TEXT(COUNT_MARK_PREFIX, number) : : : "memory")

#endif
