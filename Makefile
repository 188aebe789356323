# `make demo` and `make test` do their own set-up; `make help` lists the rest.

SHELL := /bin/bash
SWIFT ?= swift
VENV := .build/venv
HYDRANT := .build/release/hydrant
# Most end-to-end tests wait more than they compute.
PYTEST_FLAGS ?= --numprocesses 3 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help build test lint test-swift test-end-to-end simulate mutants power-cuts kills \
	disk-faults demo bench man readme system tools clean

help: ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

build: $(HYDRANT) ## Build the release server: .build/release/hydrant.

demo: $(HYDRANT) $(VENV)/ready ## Put a web server's log through an AWS SDK and show what arrives.
	$(VENV)/bin/python deploy/demo/demo.py --binary $(HYDRANT)

test: lint test-swift test-end-to-end man ## Run everything: lint, Swift tests, end-to-end tests.

lint: ## Check format, documentation and layout.
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests transforms
	python3 Tests/House/check.py --self-test
	python3 Tests/House/check.py

test-swift: system ## Run the Swift tests.
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build

# What failed is run once more, alone: what passes then is named, as it is to be mended.
PYTEST = HYDRANT_BINARY=$(abspath $(HYDRANT)) $(VENV)/bin/python -m pytest Tests/EndToEnd
test-end-to-end: tools $(HYDRANT) $(VENV)/ready ## Run real clients against the server against real stores.
	$(PYTEST) $(PYTEST_FLAGS) || { test $$? -eq 1 \
		&& $(PYTEST) --last-failed --last-failed-no-failures none -rp | tee .build/again.log \
			| sed 's/^PASSED /FLAKY /' && grep -qE '^=+ .*passed' .build/again.log \
		&& ! grep -qE '^=+ .*(failed|error)' .build/again.log; }

bench: $(HYDRANT) tools ## Measure ingest beside nginx, transforms and _bulk; prints ratios.
	@command -v wrk >/dev/null && command -v nginx >/dev/null \
		|| (apt-get update -qq && apt-get install -y -qq wrk nginx-light)
	python3 Tests/Benchmarks/ingest.py --binary $(HYDRANT)
	python3 Tests/Benchmarks/transforms.py --binary $(HYDRANT)
	python3 Tests/Benchmarks/bulk.py --binary $(HYDRANT)

# Optimised, in slices: without FIRST it goes on behind the last slice that was well.
COUNT ?= 1000000
simulate: system ## Run delivery in COUNT simulated worlds; goes on where it stopped, or FIRST=n.
	$(SWIFT) build -c release --product simulate
	@set -o pipefail; .build/release/simulate \
		$(or $(FIRST),$$(cat .build/simulated 2>/dev/null || echo 0)) $(COUNT) \
		| while read -r line; do echo "$$line"; \
			$(if $(FIRST),:,[[ $$line =~ ^[0-9]+$$ ]] && echo "$$line" > .build/simulated || :); done

# Of these `make test` runs short forms. They take at most 20 minutes, and go on where they stopped.
SLICES = HYDRANT_BINARY=$(abspath $(HYDRANT)) $(VENV)/bin/python Tests/EndToEnd/slices.py $@ $(N)
power-cuts: tools $(HYDRANT) $(VENV)/ready ## Cut the power N times (1,000), with everything on.
	$(SLICES)
kills: tools $(HYDRANT) $(VENV)/ready ## Kill the server N times (1,000), with everything on.
	$(SLICES)
disk-faults: tools $(HYDRANT) $(VENV)/ready ## Fail N system calls on the data folder (2,000).
	$(SLICES)

mutants: system ## Break the rules of delivery one at a time: the simulator must notice each.
	python3 Tests/Mutants/mutants.py

# Always asks the package manager, which knows best whether something changed.
.PHONY: $(HYDRANT)
$(HYDRANT): system
	$(SWIFT) build -c release --product hydrant

# The headers of libcurl and zlib, on systems that have apt.
system:
	@(test -e /usr/include/zlib.h && find /usr/include -name curl.h | grep -q curl) \
		|| (apt-get update -qq && apt-get install -y -qq libcurl4-openssl-dev zlib1g-dev)

# curl's own signer is one of the end-to-end tests' clients, and so are both versions of the AWS CLI; a
# transform is written in jq; a warehouse is PostgreSQL with a function in Python; what is in deploy/
# is read by the programs that it is for.
TOOLS := curl jq psql openssl prometheus promtool docker-compose systemd-analyze /usr/bin/aws
PACKAGES := curl jq postgresql openssl prometheus docker-compose systemd awscli
tools:
	@(for tool in $(TOOLS); do command -v $$tool || exit 1; done \
		&& ls /usr/share/postgresql/*/extension/plpython3u.control) >/dev/null 2>&1 \
		|| (apt-get update -qq && apt-get install -y -qq --no-install-recommends $(PACKAGES) \
			&& apt-get install -y -qq \
				postgresql-plpython3-$$(ls /usr/lib/postgresql | sort -n | tail -1))

$(VENV)/ready: Tests/EndToEnd/requirements.txt
	python3 -m venv $(VENV) || (apt-get update -qq && apt-get install -y -qq python3-venv \
		&& python3 -m venv $(VENV))
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

man: $(HYDRANT) ## Write man pages: .build/man.
	mkdir -p .build/man
	$(SWIFT) package -c release plugin --allow-writing-to-directory .build/man \
		generate-manual --multi-page --output-directory .build/man >/dev/null
	@test -s .build/man/hydrant.serve.1 && echo "man pages: $$(ls .build/man | wc -l) in .build/man"

readme: $(HYDRANT) ## Bring the README's table of settings up to date.
	python3 Tests/House/settings_table.py $(HYDRANT)

clean: ## Remove all that was built.
	rm -rf .build
