# make demo and make test set everything up themselves: a virtual environment in .venv, packages at pinned versions.
# Set up again only when pyproject.toml or constraints.txt are newer than .venv/.stamp.

PYTHON ?= python3
# images, text, audio, speech, summaries or trees
DEMO ?= images
# names of benchmarks; all of them where it is empty
BENCH ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
BENCH_STAMP := $(VENV)/.stamp-bench
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# -rs: whatever is skipped is listed with its reason
PYTEST := $(BIN)/python -m pytest -rs
# a process for each core; tests/conftest.py says which tests stay together
PARALLEL := -n auto --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help demo demo-text demo-audio demo-speech demo-summaries demo-trees test test-slow check docs bench clean

help:
	@echo 'make demo         the main job on real data: which solar cells are defective? (about 5 minutes)'
	@echo 'make demo-text    the same for texts; also demo-audio, demo-speech (recordings), demo-summaries, demo-trees (boxes)'
	@echo 'make test         the fast tests: no network, no GPU'
	@echo 'make test-slow    the slow tests: real weights and real data, fetched through pip and apt'
	@echo 'make check        ruff, mypy, docs and the arrows between layers'
	@echo 'make docs         write docs/cli.md anew from the commands'"'"' help'
	@echo 'make bench        every measurement that the README quotes'
	@echo 'make clean        remove caches and build output; .venv and runs/ stay'
	@echo
	@echo 'Another Python: make PYTHON=python3.12 demo'

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { \
	  echo '$(PYTHON) was not found. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python demo' >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("headstart needs Python 3.11 or newer, \
	and $(PYTHON) is %d.%d. Install a newer one, or name it: make PYTHON=python3.12 demo" % v[:2])'
	@echo 'Setting up $(VENV): torch first, then the rest (a few minutes) ...'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) 'torch==2.13.0'
	@$(PIP) -e '.[dev]'
	@touch $(STAMP)

# the rivals that benchmarks measure against
$(BENCH_STAMP): $(STAMP)
	@$(PIP) -e '.[bench]'
	@touch $(BENCH_STAMP)

demo: $(STAMP)
	@$(BIN)/headstart demo $(DEMO)

demo-text: DEMO := text
demo-text: demo

demo-audio: DEMO := audio
demo-audio: demo

demo-speech: DEMO := speech
demo-speech: demo

demo-summaries: DEMO := summaries
demo-summaries: demo

demo-trees: DEMO := trees
demo-trees: demo

test: $(STAMP)
	@OMP_NUM_THREADS=1 $(PYTEST) $(PARALLEL) -m 'not slow'

test-slow: $(STAMP)
	@OMP_NUM_THREADS=1 $(PYTEST) $(PARALLEL) -m slow

check: $(STAMP)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/python scripts/check_docs.py --check
	@$(PYTEST) tests/test_architecture.py

docs: $(STAMP)
	@$(BIN)/python scripts/check_docs.py

# cli_startup: seconds of --help. extraction: frozen features, against timm, OpenVINO's throughput mode, sentence-
# transformers and transformers. elpv_head, text_head: new heads, against logistic regression on the rivals' features.
# calibration: probabilities, against scikit-learn's, and coverage of conformal sets. ood: strange inputs.
# few_shot_texts: 16 texts a class, against logistic regression, Trainer and SetFit.
# few_shot_images, tags: ten pictures a class, several tags for each text, against logistic regression. pretrain_images:
# a ResNet and a VGG pretrained in minutes, against themselves from random weights. label_errors: planted flips, against
# cleanlab. speech_decoder: against Whisper untouched; speech_french: with a language that it does not know.
# speech_epochs: an epoch, against Seq2SeqTrainer. second_fit: what the cache saves. memory: peaks on 2,600 and 26,000
# images. busy_machine: steps beside other jobs. budgets: are they kept? writing_lora: SmolLM2 by low-rank changes,
# against peft. summaries: a small T5, pretrained in minutes, against itself untouched and untrained; translations: the
# same into German. ladder: 5 and 10 minutes, against logistic regression and fastai (in an environment of its own). All
# of them take hours; some of them: make bench BENCH='extraction memory'. Tables go to benchmarks/out/.
bench: $(BENCH_STAMP)
	@PYTHON='$(CURDIR)/$(BIN)/python' sh benchmarks/run_all.sh $(BENCH)

clean:
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
	@find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
