# Everything here may be run from a fresh checkout; each target sets up what it needs.
#   make build               the install tree dist/
#   make test                every test: Swift, C, Python, the command
#   make conformance         every backend on thousands of random shapes between guard pages (SHAPES=1000 of each op, SEED=1)
#   make demo                freeze, head, fine-tune on real images
#   make bench               kernels beside this machine's peak, the forward pass on 1 thread and 2, calls of custom kernels, head training
#   make bench-peers         the same networks in Xfer, OpenVINO, ONNX Runtime, PyTorch and Keras/TensorFlow (downloads them)
#   make parity              the same models trained in Keras and in Xfer (downloads Keras; KERAS_PYTHON=... uses one that is there)
#   make soak                passes and caches on 1000 random networks, twenty epochs on photos (CASES=1000 SEED=1)
#   make fuzz                thousands of damaged files through the C API
#   make install PREFIX=/usr/local [DESTDIR=...]
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
SHELL := /bin/bash

PREFIX ?= /usr/local
# Where Swift builds: the products, and the tests (built with other flags, so kept apart).
export XFER_BUILD ?= .build
export XFER_TEST_BUILD ?= .build/tests

.PHONY: build install setup test conformance demo bench bench-peers parity soak fuzz lint clean
setup:
	@Scripts/setup.sh system python

build:
	@Scripts/setup.sh system
	@Scripts/stage.sh dist

install: build
	@mkdir -p "$(DESTDIR)$(PREFIX)"
	cp -R dist/. "$(DESTDIR)$(PREFIX)/"

test:
	@Scripts/test.sh

conformance:
	@Scripts/setup.sh system
	@Scripts/stage.sh dist
	@Scripts/conformance.sh dist $(SHAPES) $(SEED)

demo:
	@Scripts/setup.sh system python
	@Scripts/stage.sh dist
	@Scripts/demo.sh

bench:
	@Scripts/setup.sh system python
	@Scripts/stage.sh dist
	@Scripts/bench.sh dist

bench-peers:
	@Scripts/setup.sh system
	@Scripts/stage.sh dist
	@Scripts/bench-peers.sh dist $(PEERS)

parity:
	@Scripts/setup.sh system
	@Scripts/stage.sh dist
	@Scripts/parity.sh

soak:
	@Scripts/soak.sh

fuzz:
	@Scripts/setup.sh system
	@Scripts/stage.sh dist
	@Tests/fuzz/run.sh dist

lint:
	@Scripts/lint.sh

clean:
	rm -rf .build dist
