# Every target works from a bare clone: it needs Python 3.11 to 3.13, and what it installs goes
# into .venv at the versions of requirements.lock.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV_VERSION := 0.13.9
TORCH := torch==2.14.1 torchvision==0.29.1
BIN := .venv/bin
DEMO := demo
WORKERS ?= 2
REF ?= HEAD

.PHONY: help install install-train install-paper install-generate install-people install-app demo demo-train demo-train-from-nothing demo-generate app train-people train-people-large train-lifting claims figures screenshots demo-generate-footage test test-slow test-gpu test-model test-generate test-pipelines test-rest lint bench bench-loader same-bytes lock clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# One list of tested versions, with checksums, constrains every installation.
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint requirements.lock

# The core: build, inspect and stream shards.
.venv/core: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "IDOL needs Python 3.11 to 3.13, not %d.%d: set PYTHON=..." % v)'
	@echo "installing the core into .venv (0.95 GB; a minute or two, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check uv==$(UV_VERSION)
	@$(INSTALL) -e .
	@touch $@

# Training and its tests need torch. Plain pip fetches it, so that an index that a user has
# configured for CPU or CUDA builds is asked.
.venv/train: .venv/core
	@echo "installing torch and what training needs (several GB; some minutes, once)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check $(TORCH)
	@$(INSTALL) -e '.[train]'
	@touch $@

# The paper's own annotators.
.venv/paper: .venv/train
	@echo "installing the paper's annotators (once)"
	@$(INSTALL) -e '.[train,paper]'
	@touch $@

# Generation and evaluation.
.venv/generate: .venv/train
	@$(INSTALL) -e '.[generate,c2pa]'
	@touch $@

# Rendered people: a body model and the kernels that draw it.
.venv/people: .venv/train
	@$(INSTALL) -e '.[train,people]'
	@touch $@

# The page that generates in a browser.
.venv/app: .venv/generate
	@$(INSTALL) -e '.[app,c2pa]'
	@touch $@

# Everything, with the tools for tests.
.venv/dev: .venv/paper
	@echo "installing the tools for tests (once)"
	@$(INSTALL) -e '.[app,c2pa,paper,people,dev]'
	@touch $@

install: .venv/core  ## Install what builds and inspects shards into .venv

install-train: .venv/train  ## Install what trains as well (torch; several GB)

install-paper: .venv/paper  ## Install the paper's annotators as well

install-generate: .venv/generate  ## Install what generates and evaluates as well

install-app: .venv/app  ## Install the page that generates in a browser, and 2.5D rendering, as well

install-people: .venv/people  ## Install what renders people as well

demo: .venv/core  ## Fetch footage of people, build shards from it, show them
	@$(BIN)/idol-prep weights fetch lite footage
	@$(BIN)/idol-prep build --dataset videos --source "$$($(BIN)/idol-prep weights where footage)" \
		--out $(DEMO)/shards --pose-style dwpose --workers $(WORKERS) --max-quarantine 3
	@$(BIN)/idol-shards stats $(DEMO)/shards
	@$(BIN)/idol-shards show $(DEMO)/shards videos-cam01-16 --output $(DEMO)/clip.png
	@echo "the clip as an image: $(DEMO)/clip.png"
	@echo "next: the commands of README.md, \"Five minutes\"; make clean removes $(DEMO)"

TRAIN = $(BIN)/idol-train --preset tiny --shards $(DEMO)/shards

DRAW = $(BIN)/idol-generate $(DEMO)/shards::videos-cam01-16 --driving $(DEMO)/shards::videos-cam01-16 \
	--no-watermark

demo-train: .venv/train  ## Train people64 further on the demo's shards, and generate a clip that was held out
	@test -f $(DEMO)/shards/dataset.json || $(MAKE) demo
	@$(TRAIN) --stage video --init-from idol/pretrained/people64 --steps 300 --learning-rate 5e-4 \
		--mirror 0.5 --ema 0.99 --sample-every 100 --output $(DEMO)/train/video
	@$(BIN)/python -m idol.train.curves $(DEMO)/train/video
	@$(DRAW) --model $(DEMO)/train/video --out $(DEMO)/train/generated
	@echo "a held-out clip, generated, its depth beside it: $(DEMO)/train/generated/side_by_side.mp4"
	@echo "sample images: $(DEMO)/train/*/images"
	@echo "curves: $(BIN)/tensorboard --logdir $(DEMO)/train, then http://localhost:6006"

demo-train-from-nothing: .venv/train  ## Train from nothing on the demo's shards, in all three stages, 20 minutes
	@test -f $(DEMO)/shards/dataset.json || $(MAKE) demo
	@$(TRAIN) --stage pretrain --output $(DEMO)/from-nothing/pretrain
	@$(TRAIN) --stage image --init-from $(DEMO)/from-nothing/pretrain --output $(DEMO)/from-nothing/image
	@$(TRAIN) --stage video --init-from $(DEMO)/from-nothing/image --output $(DEMO)/from-nothing/video
	@$(BIN)/python -m idol.train.curves $(DEMO)/from-nothing/pretrain $(DEMO)/from-nothing/image \
		$(DEMO)/from-nothing/video
	@$(DRAW) --model $(DEMO)/from-nothing/video --out $(DEMO)/from-nothing/generated
	@echo "a held-out clip, generated: $(DEMO)/from-nothing/generated/side_by_side.mp4"

demo-generate: .venv/generate  ## Generate a walking person with depth by posed128, of rendered people: a minute, no training
	@$(BIN)/idol-prep weights fetch rivagan
	@$(BIN)/idol-generate examples/people-128.tar::people-00009 --driving examples/people-128.tar::people-00007 \
		--model idol/pretrained/posed128 --keep-background --fill-hole --out $(DEMO)/generated
	@echo "frames and depth: $(DEMO)/generated/side_by_side.mp4, $(DEMO)/generated/sheet.png"

app: .venv/app  ## A page in the browser that generates, on this machine alone
	@$(BIN)/idol-prep weights fetch lite rivagan
	@$(BIN)/idol-app --out $(DEMO)/app

screenshots: .venv/dev  ## Take the pictures of the pages that the README shows; needs Chromium
	@command -v chromium > /dev/null || { echo "there is no chromium: apt-get install chromium"; exit 2; }
	@test -f $(DEMO)/shards/dataset.json || $(MAKE) demo
	@$(BIN)/idol-prep weights fetch lite rivagan
	@$(BIN)/python -m docs.screenshots $(DEMO) docs/images

PEOPLE := people-train
TRAIN_PEOPLE = $(BIN)/idol-train --preset tiny --shards $(PEOPLE)/mixed

train-people: .venv/people  ## Train a model like people64 on rendered people and the footage: eight hours, resumable
	@$(BIN)/idol-prep weights fetch lite footage
	@$(BIN)/idol-prep build --dataset videos --source "$$($(BIN)/idol-prep weights where footage)" \
		--out $(PEOPLE)/filmed --size 64 --pose-style dwpose --workers $(WORKERS) --max-quarantine 3
	@$(BIN)/idol-prep build --recipe people --source examples/people-train.yaml --out $(PEOPLE)/rendered \
		--clip-length 12 --size 64 --val-fraction 0.05
	@mkdir -p $(PEOPLE)/mixed
	@echo '{"schema": 1, "paths": [{"path": "../rendered", "weight": 1}, {"path": "../filmed", "weight": 0.05}]}' \
		> $(PEOPLE)/mixed/mix.json
	@test -d $(PEOPLE)/image/model || $(TRAIN_PEOPLE) --stage image --steps 7000 --batch-size 32 \
		--learning-rate 2e-3 --ema 0.999 --mirror 0.5 --output $(PEOPLE)/image
	@test -d $(PEOPLE)/video/model || $(TRAIN_PEOPLE) --stage video --steps 1000 --batch-size 8 \
		--ema 0.998 --mirror 0.5 --init-from $(PEOPLE)/image --output $(PEOPLE)/video
	@echo "the model: $(PEOPLE)/video/model"

LARGE := people-train-large
# Where a CPU has arithmetic for it; elsewhere it is several times slower than float32.
BF16 := $(shell grep -qE 'avx512_bf16|amx_bf16' /proc/cpuinfo 2>/dev/null && echo --mixed-precision bf16)

# First it learns pictures twice as large, on 1400 people; then to mend the photo's person posed in each
# frame, on some 2100 more besides (those of 3904 before whom the camera stands still); then to leave what
# stands still; then all of it in one step, from noise alone; and last with the posed person's depth, on 1000
# others and on 400 who turn about. posed128 itself: idol/pretrained/posed128/README.md.
train-people-large: .venv/people  ## Train a model like posed128 from people64: a night on two cores with the data, resumable
	@$(BIN)/idol-prep weights fetch lite footage
	@$(BIN)/idol-prep build --dataset videos --source "$$($(BIN)/idol-prep weights where footage)" \
		--out $(LARGE)/filmed --size 128 --pose-style dwpose --workers $(WORKERS) --max-quarantine 3
	@$(BIN)/idol-prep build --recipe people --source examples/people-train-128.yaml --out $(LARGE)/rendered \
		--clip-length 12 --size 128 --val-fraction 0 --workers $(WORKERS)
	@$(BIN)/idol-prep build --recipe people --source examples/people-more-128.yaml --out $(LARGE)/more \
		--clip-length 12 --size 128 --val-fraction 0 --max-background-shift 2 --max-quarantine 3904 --workers $(WORKERS)
	@$(BIN)/idol-prep build --recipe people --source examples/people-still-128.yaml --out $(LARGE)/others \
		--clip-length 12 --size 128 --val-fraction 0 --workers $(WORKERS)
	@$(BIN)/idol-prep build --recipe people --source examples/people-turned-128.yaml --out $(LARGE)/turned \
		--clip-length 8 --size 128 --val-fraction 0 --workers $(WORKERS)
	@mkdir -p $(LARGE)/mixed $(LARGE)/all $(LARGE)/still $(LARGE)/more-filmed $(LARGE)/others-filmed
	@echo '{"schema": 1, "paths": [{"path": "../rendered", "weight": 1}, {"path": "../filmed", "weight": 0.05}]}' \
		> $(LARGE)/mixed/mix.json
	@echo '{"schema": 1, "paths": [{"path": "../rendered", "weight": 1}, {"path": "../more", "weight": 2.8}, {"path": "../filmed", "weight": 0.15}]}' \
		> $(LARGE)/all/mix.json
	@echo '{"schema": 1, "paths": [{"path": "../more", "weight": 3}, {"path": "../rendered", "weight": 0.7}, {"path": "../filmed", "weight": 0.15}]}' \
		> $(LARGE)/still/mix.json
	@echo '{"schema": 1, "paths": [{"path": "../more", "weight": 1}, {"path": "../filmed", "weight": 0.04}]}' \
		> $(LARGE)/more-filmed/mix.json
	@echo '{"schema": 1, "paths": [{"path": "../others", "weight": 1}, {"path": "../turned", "weight": 0.3}, {"path": "../filmed", "weight": 0.05}]}' \
		> $(LARGE)/others-filmed/mix.json
	@test -d $(LARGE)/video/model || $(BIN)/idol-train --preset tiny --shards $(LARGE)/mixed --stage video --patch 8 \
		--init-from idol/pretrained/people64 --steps 1000 --batch-size 4 --learning-rate 1e-3 --ema 0.998 \
		--mirror 0.5 --output $(LARGE)/video
	@test -d $(LARGE)/posed/model || $(BIN)/torchrun --nproc-per-node 2 -m idol.train.cli --preset tiny \
		--shards $(LARGE)/all --stage video --init-from $(LARGE)/video --model.posed-foreground \
		--model.background-hole filled --foreground-dropout 0 --steps 2400 --batch-size 2 --learning-rate 1e-3 \
		--ema 0.998 --mirror 0.5 $(BF16) --cpu --seed 5 --output $(LARGE)/posed
	@test -d $(LARGE)/robust/model || $(BIN)/torchrun --nproc-per-node 2 -m idol.train.cli --preset tiny \
		--shards $(LARGE)/still --stage video --init-from $(LARGE)/posed --loss.huber 0.02 --foreground-dropout 0 \
		--steps 2200 --batch-size 2 --learning-rate 1e-3 --ema 0.998 --mirror 0.5 $(BF16) --cpu \
		--seed 6 --output $(LARGE)/robust
	@test -d $(LARGE)/one-step/model || $(BIN)/torchrun --nproc-per-node 2 -m idol.train.cli --preset tiny \
		--shards $(LARGE)/more-filmed --stage video --init-from $(LARGE)/robust --pure-noise 1 --loss.huber 0.02 \
		--loss.huber-depth 0.1 --foreground-dropout 0 --steps 2200 --batch-size 2 --learning-rate 1e-3 --ema 0.998 \
		--mirror 0.5 $(BF16) --cpu --seed 8 --output $(LARGE)/one-step
	@test -d $(LARGE)/deep/model || $(BIN)/torchrun --nproc-per-node 2 -m idol.train.cli --preset tiny \
		--shards $(LARGE)/others-filmed --stage video --init-from $(LARGE)/one-step --model.posed-depth --pure-noise 1 \
		--loss.huber 0.02 --loss.huber-depth 0.1 --foreground-dropout 0 --steps 2500 --batch-size 1 \
		--learning-rate 1e-3 --ema 0.997 --mirror 0.5 --cpu --seed 9 --output $(LARGE)/deep
	@echo "the model: $(LARGE)/deep/model"

LIFTING := people-lifting.npz

train-lifting: .venv/people  ## Train the network that posed128 has the depth of joints from: half an hour
	@$(BIN)/python -m preprocess.sources.people.lifting --people examples/people-lifting.yaml --workers $(WORKERS) --out $(LIFTING)
	@echo "the network: $(LIFTING) (idol comes with shards/sample/lifting.npz)"

CLAIMS := claims
# The page that the tables are written into; WRITE=docs/claims.md: that of this checkout.
WRITE := $(CLAIMS)/claims.md
CLAIM = $(BIN)/idol-bench claims --shards $(CLAIMS)/shards --write $(WRITE)

# Tab. 4's rows are whole models, trained from nothing; Tab. 5's go on with one that is there, since
# losses between two streams find nothing to compare in a network that has learned little.
claims: .venv/people  ## Try the paper's claims on rendered people: Tab. 4 and 5, five seeds; a day on two cores, resumable
	@$(BIN)/idol-prep weights fetch lite
	@$(BIN)/idol-prep build --recipe people --source examples/people-train.yaml --out $(CLAIMS)/shards \
		--clip-length 12 --size 64 --val-fraction 0.05
	@$(BIN)/idol-prep build --recipe people --source examples/people-held-out.yaml --out $(CLAIMS)/held-out \
		--clip-length 8 --size 64 --val-fraction 0
	@test -f $(WRITE) || printf '<!-- idol-bench claims: %s -->\n' begin end > $(WRITE)
	@$(CLAIM) --out $(CLAIMS)/from-nothing --tables 4
	@$(CLAIM) --out $(CLAIMS)/going-on --tables 5 --start idol/pretrained/people64 --held-out $(CLAIMS)/held-out \
		--train examples/claims-going-on.json --video-steps 240 --grid 0.01 10 100 1000 --grid-seeds 100
	@echo "the tables: $(WRITE)"

figures: .venv/people  ## Draw the like of the paper's Fig. 3 to 8 from what make claims left
	@$(BIN)/idol-bench figures --claims $(CLAIMS)/from-nothing --out $(CLAIMS)/figures-from-nothing
	@$(BIN)/idol-bench figures --claims $(CLAIMS)/going-on --out $(CLAIMS)/figures

# A frame of a film as an image: FILM INDEX FILE.
STILL = $(BIN)/python -c 'import itertools, sys, av; film, index, out = sys.argv[1:]; \
	next(itertools.islice(av.open(film).decode(video=0), int(index), None)).to_image().save(out)'
FOOTAGE = $$($(BIN)/idol-prep weights where footage)
WALKS = $(DEMO)/man.png --background $(DEMO)/place.png --driving "$(FOOTAGE)/demo.mp4" --retarget none \
	--start-frame 60 --frames 64 --keep-background --fill-hole

demo-generate-footage: .venv/generate  ## Generate from real footage, by make demo-train's model and by posed128: a man walks
	@test -d $(DEMO)/train/video/model || $(MAKE) demo-train
	@$(BIN)/idol-prep weights fetch lite footage rivagan
	@$(STILL) "$(FOOTAGE)/cam01.mp4" 0 $(DEMO)/man.png
	@$(STILL) "$(FOOTAGE)/demo.mp4" 229 $(DEMO)/place.png
	@$(BIN)/idol-generate $(WALKS) --model $(DEMO)/train/video --out $(DEMO)/generate/man-walks
	@$(BIN)/idol-generate $(DEMO)/shards::videos-demo-160 --driving "$(FOOTAGE)/cam01.mp4" --fps 15 --frame motion \
		--keep-background --fill-hole --model $(DEMO)/train/video --out $(DEMO)/generate/walker-balances
	@echo "and the man by posed128, which has seen 6700 rendered people"
	@$(BIN)/idol-generate $(WALKS) --out $(DEMO)/generate/man-walks-packaged
	@$(BIN)/idol-eval watermark $(DEMO)/generate/man-walks/video.mp4
	@echo "videos beside their depth: $(DEMO)/generate/*/side_by_side.mp4; as images: $(DEMO)/generate/*/sheet.png"

lint: .venv/dev  ## Check style, import contracts and types
	@echo "lint: style, import contracts, types"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/mypy

# Tests start Python hundreds of times: what it imports is compiled once, not in each process anew,
# also where the environment says not to keep it.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/pytest
FAST = OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(PYTEST) -m "not slow and not gpu" --durations=10

test: lint  ## Lint, types and the fast tests (some 18 minutes on two cores)
	@$(BIN)/idol-prep weights fetch lite footage rivagan
	@echo "the fast tests, in four parts side by side: a dot each, the first ones after some seconds"
	@$(MAKE) --no-print-directory --jobs 4 --keep-going test-model test-generate test-pipelines test-rest

# The rooms of idol/ that come after training, which take as long as all others of it.
LATER := generate evaluate app bench
LATER := $(LATER:%=tests/idol/%)

test-model: .venv/dev  ## Run the fast tests of idol/ up to training, and of rendering
	@$(FAST) tests/idol $(LATER:%=--ignore %)

test-generate: .venv/dev  ## Run the fast tests of generation, evaluation, the page and idol-bench
	@$(FAST) $(LATER)

test-pipelines: .venv/dev  ## Run the fast tests of pipelines/, which wait for Ray much of the time
	@$(FAST) tests/pipelines

test-rest: .venv/dev  ## Run all other fast tests
	@$(FAST) tests --ignore tests/idol --ignore tests/pipelines

test-slow: .venv/dev  ## Run the slow tests
	@$(BIN)/idol-prep weights fetch lite footage rivagan i3d inception
	@$(PYTEST) -m "slow and not gpu"

test-gpu: .venv/dev  ## Run the tests that need a GPU, all of them
	@$(BIN)/python -c 'import torch; raise SystemExit(not torch.cuda.is_available())' || \
		{ echo "torch finds no GPU here: these tests need one of NVIDIA's, and its driver (nvidia-smi shows it)"; exit 2; }
	@$(PYTEST) -m gpu

bench: .venv/dev  ## Benchmarks: ratios, each measured in one run
	@$(BIN)/idol-prep weights fetch lite footage
	@$(BIN)/python bench/build.py
	@$(BIN)/python bench/losses.py
	@$(BIN)/python bench/annotators.py

# A folder of its own: what the peers need should not get in the way of anything else.
.venv-bench/done: requirements.lock pyproject.toml | .venv/core
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install -qq --disable-pip-version-check $(TORCH)
	@$(BIN)/uv pip install --quiet --python .venv-bench/bin/python --constraint requirements.lock -e '.[bench]'
	@touch $@

bench-loader: .venv-bench/done  ## Streaming against webdataset, litdata and mosaicml-streaming
	@.venv-bench/bin/python bench/loader.py

same-bytes: .venv/train  ## Compare the demo's bytes and losses with those at commit REF
	@$(BIN)/idol-prep weights fetch lite footage
	@$(BIN)/python bench/same_bytes.py $(REF)

lock:  ## Resolve the versions of pyproject.toml anew into requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" --all-extras --upgrade pyproject.toml -o requirements.lock

clean:  ## Remove the demo's output and caches; .venv stays
	rm -rf $(DEMO) .pytest_cache .mypy_cache .ruff_cache build *.egg-info
