# Short names for commands. `make train` and `make test` need python3, python3-venv, python3-dev, g++.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check
# There is one build: the tests look at the wheel that is installed.
DIST = $(VENV)/dist
WHEEL = $$(ls $(DIST)/engine-*.whl)
# Archives of one commit have the same bytes: their files carry the time of the commit.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 315532800)
# The tests run in this many processes.
WORKERS ?= 2
SOURCES = pyproject.toml CMakeLists.txt tools/pack.py $(shell find csrc cmake python -name '*.cc' -o -name '*.cu' -o -name '*.cuh' -o -name '*.h' -o -name '*.def' -o -name '*.cmake' -o -name '*.S' -o -name '*.py')

.PHONY: train test emulated bench lint docs stubs dev clean

train: $(VENV)/installed ## train on BANKING77 and print the report; the last line is "test accuracy 0.xxxx"
	$(BIN)/python examples/banking77/train.py

test: $(VENV)/installed-dev ## run the whole test suite with the installed package
	ENGINE_WHEEL=$(WHEEL) $(BIN)/python -m pytest -n $(WORKERS)

emulated: $(VENV)/installed-dev ## on Debian 12, run engine under qemu as older x86-64 CPUs, and for aarch64; elsewhere it says that this is not checked
	PYTHON=$(BIN)/python WORKERS=$(WORKERS) tools/emulation/run build/emulation || [ $$? = 69 ]

bench: $(VENV)/installed-dev ## run a short version of every benchmark
	$(BIN)/python -m bench --quick

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $$(git ls-files '*.cc' '*.h' '*.cu' '*.cuh')
	$(BIN)/mypy
	PYTHONPATH=python $(BIN)/lint-imports --no-cache
	$(BIN)/python tools/stubs.py --check

docs: $(VENV)/installed-docs ## build the site, build/docs/index.html; a warning is an error
	$(BIN)/python -m sphinx -E -W --keep-going -q -j 2 -d build/doctrees docs build/docs

stubs: $(VENV)/installed-dev ## write the .pyi files
	$(BIN)/python tools/stubs.py

$(VENV)/bin/python:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "python3-venv is missing (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(DIST)/built: $(VENV)/bin/python $(SOURCES)
	rm -rf $(DIST)
	$(PIP) wheel --no-deps -w $(DIST) .
	@touch $@

$(VENV)/installed: $(DIST)/built
	$(PIP) install "$(WHEEL)[cli,plot]"
	$(PIP) install --force-reinstall --no-deps $(WHEEL)
	@touch $@

$(VENV)/installed-dev: $(DIST)/built
	$(PIP) install "$(WHEEL)[dev]"
	$(PIP) install --force-reinstall --no-deps $(WHEEL)
	@touch $(VENV)/installed $@

$(VENV)/installed-docs: $(VENV)/installed
	$(PIP) install "$(WHEEL)[cli,docs]"
	@touch $@

ISAS ?= baseline;avx512
CUBINS ?= 80

dev: ## build in the source tree, to be imported with PYTHONPATH=python; ISAS='baseline;avx2;avx512' builds all instruction sets
	cmake -S . -B build/dev -G Ninja -DENGINE_WERROR=ON '-DENGINE_ISAS=$(ISAS)' '-DENGINE_CUBINS=$(CUBINS)' -Dpybind11_DIR=$$($(PYTHON) -m pybind11 --cmakedir) -DPython_EXECUTABLE=$$(command -v $(PYTHON)) $(if $(shell command -v ccache),-DCMAKE_CXX_COMPILER_LAUNCHER=ccache) > /dev/null
	cmake --build build/dev

clean:
	rm -rf build dist $(VENV)
