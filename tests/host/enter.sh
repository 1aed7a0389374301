#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# enter.sh ROOT COMMAND...: run a command in a chroot. Mounts and processes are its own, and end with it. The first of
# these is a shell, for it reaps: libvirt waits for 40 s until a QEMU that it asked and killed has gone.
set -eu
export ROOT=$1
shift
exec unshare --mount --pid --fork --kill-child --propagation private -- sh -euc '
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --rbind /sys "$ROOT/sys"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs -o mode=1777 tmp "$ROOT/tmp"
chroot "$ROOT" "$@" || exit $?
exit 0
' sh "$@"
