PYTHON ?= python3

dev: ## an incremental build, importable with PYTHONPATH=python
	cmake -S . -B build/dev -G Ninja -DENGINE_WERROR=ON -Dpybind11_DIR=$$($(PYTHON) -m pybind11 --cmakedir) -DPython_EXECUTABLE=$$(command -v $(PYTHON)) > /dev/null
	cmake --build build/dev

.PHONY: dev
