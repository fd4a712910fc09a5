# Trimtab. `make` alone lists the targets; `make demo` and `make test` do their own set-up.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The stamp holds a completed set-up: re-made when the lock or the project file is newer.
STAMP := $(VENV)/.trimtab-setup
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev check test demo up golden bench bench-agent bench-mttr bench-rules soak-agent clean lock deb

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z%-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Trimtab needs Python 3.11 or newer (PYTHON=python3.11 make …)"; exit 2; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); echo "a virtual environment could not be made: sudo apt-get install python3-venv"; exit 2; }
	@echo "installing the locked Python packages (about half a minute) …"
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

setup: $(STAMP) ## everything the demo needs: Python packages, Debian packages, the voice
	@$(BIN)/trimtab setup

setup-dev: $(STAMP)
	@$(BIN)/trimtab setup --dev

check: $(STAMP) ## format, lint, types and import contracts, in seconds
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Most tests wait for real servers, so a few beside each other cost little; tests/conftest.py keeps apart what would collide.
WORKERS ?= 3
test: setup-dev ## set up, then every test with real servers
	@$(BIN)/python -m pytest --numprocesses $(WORKERS)

demo: setup ## set up, then live through five faults and heal them
	@$(BIN)/trimtab demo

up: setup ## the whole system on this machine, until Ctrl-C
	@$(BIN)/trimtab up

golden: $(STAMP) ## rewrite the generated rules, alerts, dashboards and host files; review them as a diff
	@$(BIN)/python -m slo_rules compile --golden
	@$(BIN)/python -m alerts render --golden
	@$(BIN)/python -m grafana render --golden
	@$(BIN)/python -m trimtab.host render --golden

bench: setup ## time a tick of the loop; docs/benchmarks.md names the other measurements
	@$(BIN)/python bench/controller_tick.py

# The exporter that the agent is compared with has an environment of its own: its libraries must not meet ours.
NVITOP := .trimtab/bench/nvitop
$(NVITOP)/.stamp: bench/locks/nvitop-exporter.txt
	@$(PYTHON) -m venv --clear $(NVITOP)
	@$(NVITOP)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes --no-deps -r bench/locks/nvitop-exporter.txt
	@touch $@

bench-agent: setup-dev $(NVITOP)/.stamp ## what a scrape of the agent costs, and ten GPU faults, beside nvitop-exporter (six minutes)
	@$(BIN)/python -m bench.agent_scrape --nvitop $(NVITOP)/bin/nvitop-exporter

soak-agent: setup-dev ## six hours of an agent's life in six minutes: are its memory and its open files flat?
	@$(BIN)/python -m bench.agent_soak --picture .trimtab/bench/agent-soak.svg

bench-kills: $(STAMP) ## kill agents and controllers 1,000 times at random; every order is executed at most once
	@$(BIN)/python -m bench.kills

bench-mttr: $(STAMP) ## seconds from a fault to serving again, beside other healers (needs Docker; about eight minutes)
	@$(BIN)/python -m bench.mttr

bench-rules: setup-dev ## SLO rules beside Sloth's and Pyrra's, in a real promtool and Prometheus (about eight minutes)
	@$(BIN)/python -m bench.rules --picture .trimtab/bench/rules-budget.svg

clean: ## remove what set-up and runs left in this folder (not Debian packages)
	@rm -rf $(VENV) .trimtab .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache ./*.egg-info

# What one process needs, pinned as in requirements.lock: images and packages install these and nothing else.
COMPILE := CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe --no-emit-index-url \
	--no-emit-find-links --no-emit-trusted-host

lock: $(STAMP) ## resolve pyproject.toml into requirements.lock and deploy/locks again (not torch or TensorRT)
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check pip-tools
	@$(COMPILE) $(addprefix --extra ,serving agent controller cli dashboards gateway dev) --output-file requirements.lock pyproject.toml
	@for process in agent controller serving; do $(COMPILE) --extra $$process $$([ $$process = agent ] && echo --extra cli) \
		--constraint requirements.lock --output-file deploy/locks/$$process.txt pyproject.toml; done

wheels-%: $(STAMP)
	@rm -rf dist/wheels/$* && mkdir -p dist/wheels/$*
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --require-hashes --no-deps --wheel-dir dist/wheels/$* --requirement deploy/locks/$*.txt
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist/wheels/$* .

image-%: wheels-% ## the container image of agent, controller or serving (BASE=… for another Debian 12)
	@docker build --network host --file deploy/images/$*.Dockerfile --build-arg VERSION=$(VERSION) $(if $(BASE),--build-arg BASE=$(BASE)) --tag trimtab/$*:$(VERSION) .

deb: wheels-agent ## the Debian package of the agent, for Debian 12 (dist/trimtab-agent_*.deb)
	@$(BIN)/python deploy/debian/build.py --wheels dist/wheels/agent --version $(VERSION) --output dist
