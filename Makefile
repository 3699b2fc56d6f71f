# The only tool a fresh machine needs beside Python 3.11 and a C compiler.
# Every verb builds .venv from hash-locked files when it is missing or out of date. The files are complete, so nothing is
# resolved (--no-deps): resolving, pip takes the newest release of what a package asks for with an extra, and has no digest of it.

PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
BENCH  := .venv-bench
BASE   := .venv-base
CASES  ?= 200000
SEED   ?= 1
EACH   ?= 50000

export MYPYPATH := src
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help clients kills demo test check bench bench-backdoor docs fuzz format lock clean

help:
	@echo "make demo    build benign and malicious samples, scan them, write the HTML report"
	@echo "make test    run the tests: what is compiled uncompiled, then everything"
	@echo "make check   lint, types, layers, sizes, catalogue, links"
	@echo "make fuzz    long differential and mutation runs (CASES=$(CASES), EACH=$(EACH) for each reader, SEED=$(SEED))"
	@echo "make clients run the hub tests with older and newer clients (VERSIONS=0.36.2 1.0.0 1.33.0 2.4.0)"
	@echo "make kills   kill the registry at random moments and prove that nothing was lost (KILLS=200)"
	@echo "make bench   measure beside the peers and write docs/explanation/performance.md"
	@echo "make bench-backdoor DATA=folder   train pools of backdoored models and count what is found; hours, resumable (images/mnist.npz, text/sst2)"
	@echo "make docs    build the documentation into site/"

$(STAMP): requirements/dev.txt requirements/no-deps.txt pyproject.toml setup.py $(wildcard src/weighbridge/formats/pickle/*.py) $(wildcard src/weighbridge/formats/python_*.py src/weighbridge/formats/javascript_*.py)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/no-deps.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	rm -rf build src/*.so src/weighbridge/formats/*.so src/weighbridge/formats/pickle/*.so
	-$(BIN)/python setup.py --quiet build_ext --inplace
	$(BIN)/python -m compileall -q src
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python scripts/demo.py

test: $(STAMP)
	$(BIN)/python scripts/pure.py -m pytest tests/unit/formats/pickle tests/unit/formats/test_text_readers.py tests/unit/formats/test_javascript_flow.py tests/property
	$(BIN)/python -m pytest -n auto --dist loadscope tests

check: $(STAMP)
	$(BIN)/ruff format --check src tests scripts benchmarks
	$(BIN)/ruff check src tests scripts benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache > /dev/null || $(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/check.py

clients: $(STAMP)
	for version in $(or $(VERSIONS),0.36.2 1.0.0 1.33.0 2.4.0); do test -x .venv-hub-$$version/bin/python || { $(PYTHON) -m venv .venv-hub-$$version && .venv-hub-$$version/bin/pip install --quiet huggingface_hub==$$version; }; echo "huggingface_hub $$version"; WEIGHBRIDGE_HUB_PYTHON=$$PWD/.venv-hub-$$version/bin/python $(BIN)/python -m pytest -q tests/integration/test_registry_hub.py || exit 1; done

kills: $(STAMP)
	WEIGHBRIDGE_KILLS=$(or $(KILLS),200) $(BIN)/python -m pytest -q tests/e2e/test_serve.py -k "very_often"

format: $(STAMP)
	$(BIN)/ruff format src tests scripts benchmarks
	$(BIN)/ruff check --fix src tests scripts benchmarks

fuzz: $(STAMP)
	$(BIN)/python -m tests.property.differential $(CASES) $(SEED)
	$(BIN)/python -m tests.fuzz.mutate $(CASES) $(SEED)
	$(BIN)/python -m tests.fuzz.readers $(EACH) $(SEED)
	$(BIN)/python -m tests.fuzz.conversions $(CASES) $(SEED)
	$(BIN)/python -m tests.fuzz.syscalls 500 $(SEED)

$(BENCH)/.installed: requirements/bench.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/bench.txt
	touch $@

# What a user gets: the base dependencies and nothing else.
$(BASE)/.installed: $(STAMP) requirements/base.txt
	$(PYTHON) -m venv $(BASE)
	$(BASE)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/base.txt
	$(BASE)/bin/python -m pip install --quiet --no-deps .
	touch $@

bench: $(STAMP) $(BENCH)/.installed $(BASE)/.installed
	$(BIN)/python -m benchmarks.run --peers $(BENCH)/bin --ours $(BASE)/bin/weighbridge

# What was trained stays in POOLS: a second call goes on where the first ended.
POOLS ?= .bench/pools
bench-backdoor: $(STAMP)
	test -f "$(DATA)/images/mnist.npz" && test -d "$(DATA)/text/sst2" || { echo "DATA has to hold images/mnist.npz and text/sst2"; exit 2; }
	$(BIN)/python -m benchmarks.backdoor.pools --data $(DATA)/images/mnist.npz --out $(POOLS) --net plain --pool references --clean 100
	$(BIN)/python -m benchmarks.backdoor.pools --data $(DATA)/images/mnist.npz --out $(POOLS) --net plain --pool test --clean 40 --bad 5
	$(BIN)/python -m benchmarks.backdoor.figures $(POOLS)/mnist-plain
	$(BIN)/python -m benchmarks.backdoor.text_pools --data $(DATA)/text/sst2 --out $(POOLS)/texts --pool references --clean 40
	$(BIN)/python -m benchmarks.backdoor.text_pools --data $(DATA)/text/sst2 --out $(POOLS)/texts --pool test --clean 20 --bad 5
	$(BIN)/python -m benchmarks.backdoor.text_figures --data $(DATA)/text/sst2 --pools $(POOLS)/texts
	$(BIN)/python -m benchmarks.backdoor.service_returns

docs: $(STAMP)
	$(BIN)/python scripts/reference.py
	$(BIN)/zensical build --clean

lock: $(STAMP)
	for name in base registry dev bench; do $(BIN)/python -m uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 requirements/$$name.in -o requirements/$$name.txt; done

clean:
	rm -rf build dist site demo .bench src/*.so src/weighbridge/formats/pickle/*.so
