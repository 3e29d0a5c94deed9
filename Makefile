# Every target sets up what it needs. `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PEERS_VENV ?= .venv-peers

FAMILY ?= emoji
CAPTION ?= red heart
OUTPUT ?= picture.png
EXPORT_OPTIONS ?=
PORT ?= 5000
BENCHMARKS ?= overhead wire cold samplers users servers steady watching overload
PEERS_OPTIONS ?=
CHAOS_SECONDS ?= 300

RUNTIME := export/requirements.txt model_server/requirements.txt proxy/requirements.txt
ROOMS := benchmarks export local model_server proxy training

.DEFAULT_GOAL := help
.PHONY: help setup demo serve export evaluate bench bench-peers train test test-slow coverage chaos fuzz test-docker test-page \
	test-full lint licences format requirements clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.runtime ## Make the virtual environment and install what serving needs

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Easel needs Python 3.11 or newer; PYTHON=$(PYTHON) is $$($(PYTHON) --version)." >&2; exit 1; }
	@# Where Python came without ensurepip, as on hosted notebooks, its own pip brings the other one.
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	touch $@

$(VENV)/.runtime: $(RUNTIME) | $(VENV)/.created
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes $(addprefix -r ,$(RUNTIME))
	touch $@

$(VENV)/.development: tests/requirements.txt | $(VENV)/.runtime
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.txt
	touch $@

# By the environment, so that the shell does not read what the caption says.
export CAPTION OUTPUT
demo: $(VENV)/.runtime ## Draw CAPTION="red heart" to OUTPUT=heart.png: sets up, exports, serves, generates, stops
	@$(BIN)/python -m export emoji --if-missing
	@$(BIN)/python -m local demo --caption="$$CAPTION" --output="$$OUTPUT"

serve: $(VENV)/.runtime ## Serve FAMILY=emoji at PORT=5000 by the embedded model server, until Ctrl-C
	@if [ $(FAMILY) = emoji ] || [ -z "$(wildcard serving_models/$(FAMILY)/decoder/*)" ]; then \
		$(BIN)/python -m export $(FAMILY) --if-missing $(EXPORT_OPTIONS); fi
	@$(BIN)/python -m local --family $(FAMILY) serve --port $(PORT)

export: $(VENV)/.runtime ## Export FAMILY=emoji|sd-v1|sd-v2 with EXPORT_OPTIONS="--weights-dir DIR --size 512x512"
	$(BIN)/python -m export $(FAMILY) $(EXPORT_OPTIONS)

evaluate: $(VENV)/.development ## Measure how well the emoji family draws what captions say
	$(BIN)/python -m export emoji --if-missing
	$(BIN)/python -m training.evaluate

bench: $(VENV)/.development ## Measure BENCHMARKS="overhead wire ..." into benchmarks/results (half an hour, all but the peers)
	$(BIN)/python -m export emoji --if-missing
	@for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name || exit 1; done
	@$(BIN)/python -m benchmarks

$(PEERS_VENV)/.installed: benchmarks/requirements-peers.txt | $(VENV)/.created
	$(PYTHON) -m venv $(PEERS_VENV)
	$(PEERS_VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

bench-peers: $(VENV)/.development $(PEERS_VENV)/.installed ## Compare sd-v1 with KerasCV and diffusers, PEERS_OPTIONS="--size 512x512 --steps 5" (16 GB, an hour)
	$(BIN)/python -m benchmarks.peers --diffusers-python $(PEERS_VENV)/bin/python $(PEERS_OPTIONS)

train: $(VENV)/.development ## Train the emoji family's weights anew; resumes after an interruption
	$(BIN)/python -m training

NEEDS_PROMETHEUS := tests/model_server/test_prometheus.py tests/proxy/test_prometheus.py
PYTEST := $(BIN)/python -m pytest tests --ignore=tests/full --ignore=tests/docker --ignore=tests/page \
	$(NEEDS_PROMETHEUS:%=--ignore=%) --numprocesses=3 --dist=loadfile
test: $(VENV)/.development ## Run the tests
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/.development ## Run what `make test` leaves out: more signals, sizes and moments of the same
	$(PYTEST) -m slow

coverage: $(VENV)/.development ## Run the tests, and count the proxy's lines that they reach, in all its processes
	$(PYTEST) -m "not slow" --cov --cov-report=term:skip-covered --cov-fail-under=95

chaos: $(VENV)/.development ## Draw for CHAOS_SECONDS=300 while servers die, and compare every picture
	$(BIN)/python -m export emoji --if-missing
	$(BIN)/python -m tests.chaos --seconds $(CHAOS_SECONDS)

fuzz: $(VENV)/.development ## Try a quarter of an hour of bad input, and print what was tried; EASEL_FUZZ_SEED=1 tries other
	EASEL_FUZZ=long $(BIN)/python -m pytest tests/fuzz --timeout=3600

test-docker: $(VENV)/.development ## Test images and stack on a Docker engine, and Prometheus (as root; minutes)
	$(BIN)/python -m pytest tests/docker $(NEEDS_PROMETHEUS) --timeout=1800

test-page: $(VENV)/.development ## Test the page in a browser (needs Debian's chromium, and npm)
	$(BIN)/python -m pytest tests/page

test-full: $(VENV)/.development ## Compare the full-size network with KerasCV (12 GB of memory, tens of minutes)
	$(BIN)/python -m pytest tests/full -s

lint: $(VENV)/.development ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(ROOMS)

licences: $(VENV)/.development ## List the licences of what the containers that serve have in them
	@$(BIN)/python -m tests.licences

format: $(VENV)/.development ## Put the code in its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

requirements: $(VENV)/.development ## Pin every room's requirements anew, with hashes
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-index-url \
		--no-emit-trusted-host --no-emit-find-links --upgrade -o tests/requirements.txt tests/requirements.in
	for file in {export,model_server,proxy}/requirements proxy/requirements-traces; do \
		$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-index-url \
			--no-emit-trusted-host --no-emit-find-links -c tests/requirements.txt \
			-o $$file.txt $$file.in || exit 1; \
	done
	$(BIN)/pip-compile --quiet --strip-extras --no-header --no-emit-index-url --no-emit-trusted-host --upgrade \
		--no-emit-find-links -o benchmarks/requirements-peers.txt benchmarks/requirements-peers.in
	sed -i 's/^\(torch==[^+]*\)+.*/\1/' benchmarks/requirements-peers.txt

clean: ## Remove the virtual environments, exported models and training runs
	rm -rf $(VENV) $(PEERS_VENV) benchmarks/models serving_models/*/ serving_models/models.config training/runs
