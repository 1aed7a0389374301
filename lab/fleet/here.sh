#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# In the place of GNU parallel's ssh: `here.sh ASK ALIVE HOST -- COMMAND...` has lab.fleet.by_parallel begin an attempt
# at the batch of this number on that host, and ends as the attempt does. COMMAND, a program in Perl that would run the
# job there, is not run. ASK and ALIVE are ends of pipes that GNU parallel hands down: what is wanted goes into the one,
# and nothing comes out of the other, until there is nobody left who could answer. The answer is a signal.
trap 'exit 0' USR1
trap 'exit 75' USR2
trap 'again=1; echo "stop $$" >"/dev/fd/$ask"' INT TERM HUP
ask=$1 alive=$2
exec 9<"/dev/fd/$alive" || exit 75
echo "$PARALLEL_SEQ $3 $$" >"/dev/fd/$ask" || exit 75
while again=; read -r _ <&9 || [ "$again" ]; do :; done
exit 75
