// SPDX-License-Identifier: GPL-2.0-only
/*
 * lab-insn: a QEMU plugin that counts the instructions a guest executes, and writes the count down whenever the guest
 * executes a mark (images/guest/lib/count-mark.h). One JSON line a mark: {"mark":N,"instructions":N,"t":seconds}.
 *
 *   -plugin file=lab-insn.so,out=FILE
 *
 * The count is an inline add at the head of each translated block, so a block that a fault leaves early counts whole.
 * One vCPU: nobody else adds. `t` is the host's CLOCK_MONOTONIC.
 */
#include "plugin-api.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../guest/lib/count-mark.h"

PLUGIN_EXPORT int qemu_plugin_version = PLUGIN_API_VERSION;

static const uint8_t prefix[] = {COUNT_MARK_PREFIX};
static uint64_t executed;
static int out = -1;

static void write_down(unsigned int vcpu, void *mark)
{
	struct timespec now;
	char line[128];
	int len;

	(void)vcpu;
	clock_gettime(CLOCK_MONOTONIC, &now);
	len = snprintf(line, sizeof(line), "{\"mark\":%u,\"instructions\":%" PRIu64 ",\"t\":%lld.%06ld}\n",
		       (unsigned)(uintptr_t)mark, executed, (long long)now.tv_sec, now.tv_nsec / 1000);
	if (write(out, line, (size_t)len) != len) /* a mark that is missing is seen where the marks are read */
		fprintf(stderr, "lab-insn: a mark was not written\n");
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb), i;

	(void)id;
	for (i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		const uint8_t *bytes = qemu_plugin_insn_data(insn);

		if (qemu_plugin_insn_size(insn) == sizeof(prefix) + 1 && !memcmp(bytes, prefix, sizeof(prefix)))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, write_down, QEMU_PLUGIN_CB_NO_REGS,
							       (void *)(uintptr_t)bytes[sizeof(prefix)]);
	}
	qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &executed, n);
}

PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fprintf(stderr, "lab-insn: give out=FILE\n");
		return -1;
	}
	if (!info->system_emulation || info->system.max_vcpus != 1) {
		fprintf(stderr, "lab-insn: counts one vCPU, this machine has %d\n", info->system.max_vcpus);
		return -1;
	}
	out = open(argv[0] + 4, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (out < 0) {
		perror("lab-insn: cannot open the file of out=");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
