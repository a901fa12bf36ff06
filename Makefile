PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test unit docs clean

demo: .venv/installed  ## the whole pipeline on the embedded default: no key, no download, no GPU
	$(BIN)/cso run --out runs/demo --set train.validation=0.1

test: .venv/tested  ## every check and every test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/pytest -n 3 --dist worksteal $(TESTS)

unit: .venv/tested  ## the fast tests only
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

docs: .venv/tested  ## the documentation: site/index.html, readable from disk and without a network
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[figures,train]'
	touch $@

.venv/tested: .venv/installed constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e . --group dev
	touch $@

clean:
	rm -rf .venv runs site
