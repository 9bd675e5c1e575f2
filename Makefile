# `make demo` and `make test` set everything up by themselves; see deploy/setup.sh.
#
#   make setup PYTHON=python3.12     another interpreter
#   make test ARGS="-k probe -x"     arguments for pytest
#   make test WORKERS=0              one test after the other

VENV ?= .venv
# Most tests wait for a call to be spoken: a file takes a third of a core, three keep two cores half busy.
WORKERS ?= 3
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist loadfile --durations=25 --durations-min=1
BIN := $(VENV)/bin
export VENV
# A test starts processes of the gateway by the hundred: none need compile it anew.
unexport PYTHONDONTWRITEBYTECODE
LOAD_WORKERS ?= 1
SOAK_S ?= 3600
SOAK_CALLS ?= 2000
ifdef PYTHON
export PYTHON
endif

.DEFAULT_GOAL := help
.PHONY: help setup runtime demo run test unit contract wire integration lint fmt check bench bench-turns bench-load soak fuzz lock mutate audit reference

help:             ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

setup:            ## install all that is needed to work on the gateway
	@deploy/setup.sh dev

runtime:          ## install what the gateway itself needs
	@deploy/setup.sh runtime

demo: runtime     ## hear the gateway answer a real SIP call
	@$(BIN)/gateway demo $(ARGS)

run: runtime      ## serve calls as gateway.toml says
	@$(BIN)/gateway run $(ARGS)

test: setup       ## run all tests
	@$(PYTEST) $(ARGS)

unit contract wire integration: setup
	@$(PYTEST) tests/$@ $(ARGS)

lint: setup       ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python deploy/words.py

fmt: setup        ## format the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

check: lint test  ## what must pass before a change goes in

bench: setup      ## measure the gateway as callers see it
	@$(BIN)/python -m benchmarks $(ARGS)

fuzz: setup       ## send a gateway damaged requests (ARGS="sip rtp --seconds 600")
	@$(BIN)/python -m tests.fuzz $(ARGS)

reference: setup  ## write docs/reference anew from the code
	@$(BIN)/python -m tests.support.reference_pages

lock: setup       ## write deploy/lock anew: versions and hashes of all packages (network)
	@deploy/lock/lock.sh $(ARGS)

audit: setup      ## check dependencies: bounds, licences, known vulnerabilities (network)
	@$(BIN)/python -m pip install --quiet -e ".[audit]" 2>/dev/null || true
	@$(BIN)/python deploy/audit.py

mutate: setup     ## change the code at random and see which tests notice (hours; ARGS="gateway.turn.*")
	@$(BIN)/python -m pip install --quiet -e ".[mutate]"
	@$(BIN)/mutmut run $(ARGS)

bench-turns: setup  ## measure turn taking over recordings
	@$(BIN)/python -m benchmarks.turns $(ARGS)

bench-load: setup ## calls at once from 1 to saturation (LOAD_WORKERS, LOAD_RAMP)
	@$(BIN)/gateway load --workers $(LOAD_WORKERS) $(if $(LOAD_RAMP),--ramp $(LOAD_RAMP)) \
		--hold 60 --out load-report $(ARGS)

soak: setup       ## an hour of calls, 2,000 short ones, workers replaced and killed: two hours
	@$(BIN)/gateway load --leaks --warm 300 --tries 1 --ramp 4 --rate 1 --mix talk=2,short-call=1 --probes 1 \
		--call-s 90 --hold $(SOAK_S) --out load-report/soak $(ARGS)
	@$(BIN)/gateway load --leaks --warm 60 --tries 1 --ramp 4 --rate 2 --mix short-call --probes 0 \
		--total $(SOAK_CALLS) --out load-report/short-calls $(ARGS)
	@$(BIN)/python -m benchmarks fleet
	@EDGE_HOSTS_SCALE=10 $(BIN)/pytest -rP tests/integration/test_edge_hosts.py
