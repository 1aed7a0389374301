# setup  makes this host fit: packages, .venv, kernels, guest image (a second call changes nothing)
# run    runs the default matrix          test  lint, types, imports, unit tests and real pairs
# lint   the quick part of test           clean-cache  removes fetched kernels and built images

.PHONY: setup run test lint venv clean-cache

setup: venv
	@.venv/bin/lab setup

run: setup
	@.venv/bin/lab run

test: venv
	@.venv/bin/lab setup --browser
	@.venv/bin/tox

lint: venv
	@.venv/bin/tox -e lint,types,imports,unit

venv:
	@sh playbooks/bootstrap.sh

clean-cache: venv
	@.venv/bin/python -c 'import shutil, lab.paths; shutil.rmtree(lab.paths.cache_root(), ignore_errors=True)'
