#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# In the place of GNU parallel's ssh: `here.sh HOST -- COMMAND...` runs the command on this host.
# GNU parallel chooses the host and keeps the log; lab.fleet.carry makes the connection, with a key of its own.
shift
[ "$1" = -- ] && shift
exec sh -c "$*"
