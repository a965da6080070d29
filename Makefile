# Everything sets itself up: `make demo` and `make test` work in a fresh clone.

PYTHON ?= python3
BIN := .venv/bin
# Where training goes and how long it takes; .ci/run makes a short one.
DEMO := demo
DEMO_FLAGS :=

.PHONY: demo test slow-tests lint types page bench docs dist clean help

help:
	@echo "make demo   train a small model on handwritten digits (a minute) and draw pictures into $(DEMO)/"
	@echo "make test   run the tests; make slow-tests: those that take long, an hour at most"
	@echo "make lint   ruff and import-linter;  make types   mypy"
	@echo "make docs   build the site of the documents into build/site, strict, without a network"
	@echo "make dist   build wheel and source archive into dist/, and draw with them in a fresh environment"
	@echo "make page   build the code of draw page anew (needs Node)"
	@echo "make bench  speed and memory against plain PyTorch (10 minutes), into benchmarks/results/"

demo: .venv/ready
	@if [ -e "$(DEMO)" ]; then echo "$(DEMO) exists already: rename or remove it, or make demo DEMO=another"; exit 1; fi
	$(BIN)/draw train digits --out $(DEMO) $(DEMO_FLAGS)

# Three tests at a time with one thread each, for two cores: one of the three often waits for a
# browser, a server or a process. Each process keeps to files of its own as long as it can, so that a
# server, a browser or an exported model that a file's tests share is made once.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist worksteal
test: .venv/ready
	$(PYTEST) -m "not slow"

# The large sweeps and the shipped models; what the minutes do not suffice for is skipped, and said.
MINUTES := 60
slow-tests: .venv/ready
	$(PYTEST) -m slow --minutes $(MINUTES)

lint: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache

types: .venv/ready
	$(BIN)/mypy

# What `draw page` writes is committed, so that installing the package needs no Node; this builds it
# anew of src/draw/page/script.
page:
	cd src/draw/page && npm ci --no-audit --no-fund && npm run build

bench: .venv/ready
	$(BIN)/python -m benchmarks

# mkdocs has an environment of its own: docstrings are read, and not run. The page that is part of
# the site is written by the package.
docs: build/docs-venv/ready .venv/ready
	rm -rf build/interactive
	$(BIN)/python -m draw page --to build/interactive --documents ../index.html
	NO_MKDOCS_2_WARNING=1 build/docs-venv/bin/mkdocs build --strict --quiet
	@echo "python3 -m http.server --directory build/site    # and open http://localhost:8000"

build/docs-venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv build/docs-venv
	build/docs-venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	    $$($(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])')
	touch $@

# What people get: a wheel of the source archive, in an environment where nothing else is, without
# extras, then with one. torch==... as below, constraints as tested.
FRESH := build/fresh
dist: .venv/ready
	rm -rf dist $(FRESH)
	$(BIN)/python -m build --outdir dist
	$(PYTHON) -m venv $(FRESH)
	$(FRESH)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(FRESH)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt dist/*.whl
	cd $(FRESH) && bin/python -c 'import draw; print(draw.DRAW.from_pretrained("mnist").generate(4).images.shape)'
	cd $(FRESH) && ! bin/draw sample mnist
	cd $(FRESH) && bin/python -m pip install --quiet --disable-pip-version-check \
	    -c ../../constraints.txt "$$(ls ../../dist/*.whl)[train]"
	cd $(FRESH) && bin/draw sample mnist --n 4 --out digits.png && ls -l digits.png

# torch comes first and by its exact version, so that nothing else brings another build of it; all
# pinned versions are in constraints.txt.
.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "draw needs Python 3.11 or newer, got " + sys.version)'
	@echo "setting up .venv: a minute or two, the first time only"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv
