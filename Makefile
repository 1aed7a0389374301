# SPDX-License-Identifier: GPL-2.0-only
# setup  makes this host fit: packages, .venv, kernels, guest image (a second call changes nothing)
# run    runs the default matrix          test  lint, types, imports, unit tests and real pairs
# lint   the quick part of test           clean-cache  removes fetched and built kernels, source trees, images
# bench-NAME  one bench of bench/README.md; bench runs them all
# faults MINUTES=30 SEED=7  sessions with one fault each (docs/faults.md); five minutes are part of test
# kvm    the lab under KVM in a first-level guest of this host's QEMU (docs/kvm.md); not part of test
# host SUITE=trixie  the lab set up and run on another suite of Debian, in a chroot (docs/hosts.md); as root
# four-hosts  every fault that a fleet must outlive, on four hosts in network namespaces (docs/fleet.md); as root
# kvm-page FILE=page.txt  for a host with KVM: what it is and what the lab said there, as text to send us
# kernels  builds every design's kernel (a quarter of an hour on 2 cores, less where ccache is warm)

.PHONY: setup run test faults four-hosts host kvm kvm-page lint venv kernels clean-cache bench

setup: venv
	@.venv/bin/lab setup

run: setup
	@.venv/bin/lab run

test: venv
	@.venv/bin/lab setup --browser --fleet --sshd
	@.venv/bin/tox

MINUTES ?= 30
faults: venv
	@.venv/bin/lab setup
	@.venv/bin/python -m tests.faults --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

kvm: venv
	@.venv/bin/lab setup
	@.venv/bin/python -m tests.kvm

SUITE ?= trixie
host: venv
	@.venv/bin/lab setup
	@.venv/bin/python -m tests.host $(SUITE)

four-hosts: venv
	@.venv/bin/lab setup --fleet --sshd
	@.venv/bin/pytest -q -s -p no:cacheprovider tests/vm/four_hosts.py

FILE ?= kvm-page.txt
kvm-page: venv
	@.venv/bin/lab setup
	@.venv/bin/python -m tests.kvm.page $(FILE)

lint: venv
	@.venv/bin/tox -e lint,types,imports,unit

kernels: venv
	@.venv/bin/lab setup
	@.venv/bin/lab kernel build all

bench: venv
	@.venv/bin/python -m bench all

bench-%: venv
	@.venv/bin/python -m bench $*

venv:
	@sh playbooks/bootstrap.sh

clean-cache: venv
	@.venv/bin/python -c 'import shutil, lab.host.paths; shutil.rmtree(lab.host.paths.cache_root(), ignore_errors=True)'
