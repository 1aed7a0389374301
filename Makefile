# SPDX-License-Identifier: GPL-2.0-only
# setup  makes this host fit: packages, .venv, kernels, guest image (a second call changes nothing)
# run    runs the default matrix          test  lint, types, imports, unit tests and real pairs
# lint   the quick part of test           clean-cache  removes fetched and built kernels, source trees, images
# bench-NAME  one bench of bench/README.md; bench runs them all
# faults MINUTES=30 SEED=7  sessions with one fault each (docs/faults.md); test plays five minutes of them
# kernels  builds every design's kernel (a quarter of an hour on 2 cores, less where ccache is warm)

.PHONY: setup run test faults lint venv kernels clean-cache bench

setup: venv
	@.venv/bin/lab setup

run: setup
	@.venv/bin/lab run

test: venv
	@.venv/bin/lab setup --browser
	@.venv/bin/tox

MINUTES ?= 30
faults: venv
	@.venv/bin/lab setup
	@.venv/bin/python -m tests.faults --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

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
