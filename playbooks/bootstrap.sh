#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Makes .venv with the lab in it. Installs packages only when the host lacks what pip needs to build libvirt-python.
set -eu
cd "$(dirname "$0")/.."

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

python=${LAB_PYTHON:-python3}
stamp=.venv/.made-from
wanted=$(sha256sum <pyproject.toml)
if [ -x .venv/bin/lab ] && [ "$(cat $stamp 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then
	exit 0
fi

missing=
need() { missing="$missing $*"; }
if command -v "$python" >/dev/null; then
	"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
		fail "$python is $("$python" -V); the lab needs Python 3.11 or newer (LAB_PYTHON=command chooses another)"
	"$python" -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
	"$python" -c 'import os, sysconfig; open(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null ||
		need python3-dev
else
	need python3 python3-venv python3-dev
fi
command -v gcc >/dev/null || need gcc libc6-dev
command -v pkg-config >/dev/null || need pkg-config
{ command -v pkg-config >/dev/null && pkg-config --exists libvirt; } || need libvirt-dev

if [ -n "$missing" ]; then
	command -v apt-get >/dev/null || fail "this host lacks$missing and has no apt-get; install them its own way"
	as_root=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || fail "this host lacks$missing; as root: apt-get install$missing"
		as_root=sudo
	fi
	say "installing with ${as_root:+$as_root }apt-get:$missing"
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	{
		$as_root apt-get -q update &&
			$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends $missing
	} >"$log" 2>&1 || { tail -20 "$log" >&2; fail "apt-get failed; its last words are above"; }
fi

if [ ! -x .venv/bin/pip ] || ! .venv/bin/python -c '' 2>/dev/null; then
	say "making .venv with $("$python" -V)"
	rm -rf .venv
	"$python" -m venv .venv
fi
say "installing the lab and its Python packages into .venv"
.venv/bin/python -m pip install -q --disable-pip-version-check -e '.[dev]' ||
	fail "pip failed; check the network, then run the same command again"
echo "$wanted" >$stamp
