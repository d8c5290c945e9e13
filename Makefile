PYTHON ?= python3
BIN := .venv/bin
PROJECTS := pyproject.toml core/pyproject.toml $(wildcard plugins/*/pyproject.toml)

.PHONY: demo test model test-install lint format bench bench-rpc bench-startup bench-kv bench-pressure bench-rest soak interop conformance clean

demo: .venv/.synced          ## processor, server, gateway and clients, a failure and its recovery
	$(BIN)/kato-transport demo

test: .venv/.synced          ## the ordinary test run
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile -m "not network"

model: .venv/.synced         ## the state machine of event sources against its model, at length: make model EXAMPLES=20000
	KATO_MODEL_EXAMPLES=$(or $(EXAMPLES),20000) $(BIN)/python -m pytest --timeout 0 tests/plugins/kv_events/stream/test_model.py -k Follow

test-install: .venv/.synced  ## the distributions built and installed, each by itself; needs a package index
	$(BIN)/python -m pytest -m network tests/packaging

conformance: .venv/.synced   ## the conformance kit for one transport: make conformance TRANSPORT=improved
	KATO_ZMQ_IMPLEMENTATION=$(or $(TRANSPORT),improved) $(BIN)/python -m pytest --pyargs kato_transport.testing.suite

lint: .venv/.synced          ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/.synced
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: bench-rpc bench-startup   ## calls and start-up; the others, which take longer, each by its own name

bench-rpc: .venv/.synced     ## calls over every transport beside raw pyzmq and peers, side by side in one run
	$(BIN)/python -m bench.rpc

bench-startup: .venv/.synced ## how long it takes until something can be done
	$(BIN)/python -m bench.startup

bench-kv: .venv/.synced      ## the block index against NVIDIA Dynamo's, side by side in one run
	$(BIN)/python -m bench.kv_index

bench-pressure: .venv/.synced   ## what one client notices of others that misbehave, side by side in one run
	$(BIN)/python -m bench.pressure

bench-rest: .venv/.synced    ## the gateway under wrk, against raw ASGI and gateways of threads, side by side in one run
	$(BIN)/python -m bench.rest

soak: .venv/.synced          ## clients of every kind against servers that are killed, and every answer checked: make soak MINUTES=5
	$(BIN)/python -m bench.soak --minutes $(or $(MINUTES),5)

.PHONY: bench-scaling bench-regression bench-processes

bench-scaling: .venv/.synced  ## how cost grows with clients, sources, blocks and processors; draws docs/plots
	$(BIN)/python -m bench.scaling --plots docs/plots

bench-regression: .venv/.synced  ## instructions of codec, call path and index against what is written down; needs valgrind
	$(BIN)/python -m bench.regression

bench-processes: .venv/.synced  ## two worker processes against one, for handlers that compute, side by side in one run
	$(BIN)/python -m bench.workers

interop: .venv/.synced       ## engines' own publishers and a whole vLLM on the CPU; up to 4 GB in .interop, from a package index
	$(BIN)/python -m interop

clean:
	rm -rf .venv .interop .pytest_cache .mypy_cache .ruff_cache .hypothesis uv.lock

.venv/.synced: $(PROJECTS)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv sync --quiet --inexact --compile-bytecode
	$(BIN)/python -m compileall -q core/src plugins/*/src
	@touch $@
