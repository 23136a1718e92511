# Two commands do all set-up on a fresh machine: make demo, make test.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# TORCH_INDEX=https://download.pytorch.org/whl/cpu takes PyTorch from its own CPU index.
TORCH_INDEX ?=
# A folder of wheels that is looked at before any index.
WHEELS ?= wheels
PIP := $(PY) -m pip install --quiet --disable-pip-version-check $(if $(wildcard $(WHEELS)),--find-links $(WHEELS))
ARGS ?=

# What the lab of real routers, the database tests, the simulated agents and PyTorch need from Debian 12.
DEBIAN := python3-venv libgomp1 strace frr frr-snmp snmpd snmp netconfd netconfd-module-ietf-interfaces \
  netconfd-module-ietf-system lldpd openssh-server openssh-client iproute2 net-tools nftables influxdb gcc libc6-dev

.PHONY: help demo test soak lint bench setup debian clean format
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup ## the main job on real routers, end to end (ARGS="--exit --report demo.json")
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/nettwin demo $(ARGS)

test: setup lint ## every check that a change must pass
	@$(PY) -m pytest -n 2 --dist loadfile $(ARGS)

soak: setup ## the long checks in full; figures go to build/soak
	@$(PY) -m pytest -m soak $(ARGS)

lint: setup ## format, lint, types, import rules
	@$(VENV)/bin/ruff format --check --quiet
	@$(VENV)/bin/ruff check --quiet
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-cache >build/imports.log || { cat build/imports.log; exit 1; }

format: setup ## rewrite the code in the house's form
	@$(VENV)/bin/ruff format --quiet
	@$(VENV)/bin/ruff check --quiet --fix

bench: $(patsubst tests/bench/bench_%.py,bench-%,$(wildcard tests/bench/bench_*.py)) ## every benchmark; figures go to build/bench
bench-%: setup
	@mkdir -p build/bench
	@$(PY) tests/bench/bench_$*.py $(ARGS)

setup: debian $(VENV)/.ready

debian:
	@mkdir -p build
	@if command -v dpkg-query >/dev/null; then \
	  missing=(); for p in $(DEBIAN); do \
	    [ "$$(dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null)" = installed ] || missing+=($$p); done; \
	  if [ $${#missing[@]} -gt 0 ]; then \
	    if [ "$$(id -u)" = 0 ]; then \
	      echo "installing Debian packages: $${missing[*]}"; \
	      policy=/usr/sbin/policy-rc.d; made=; \
	      [ -e $$policy ] || { printf '#!/bin/sh\nexit 101\n' >$$policy; chmod 755 $$policy; made=1; }; \
	      trap '[ -z "$$made" ] || rm -f $$policy' EXIT; \
	      apt-get update -qq; \
	      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}" >build/debian.log 2>&1 \
	        || { tail -n 20 build/debian.log; exit 1; }; \
	    else echo "not root: the lab of real routers needs these Debian packages: $${missing[*]}"; fi; fi; fi

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "nettwin needs Python 3.11 or newer")'
	@[ -x $(PY) ] || $(PYTHON) -m venv $(VENV)
	@echo "installing Python packages into $(VENV)"
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	@$(PIP) -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

clean: ## remove what was built (the lab: nettwin lab down)
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
