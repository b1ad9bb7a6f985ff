# make preview   the whole fleet on the Pulumi engine, offline, with every rule
# make check     the same verdict without the Pulumi engine, faster
# make test      every test that needs no Docker
# make lint      formatting, static checks, the dependency rule; shell and workflows too
# make vulncheck  known vulnerabilities of what the programs link
# make bench     the benchmarks of docs/performance.md
# make up        the fleet on this machine's Docker engine, with the real providers
# make test-docker  the fleet on this machine's Docker engine, without Pulumi's CLI and providers
# make e2e       the end-to-end suite: the fleet on this machine's Docker engine, tried from all sides;
#                with PART=handover, only that part (sandbox/README.md)
# make down      stop it and keep its data; with DATA=delete, delete it
# make generate  the documents that are made from code
# make fuzz      every fuzz target, FUZZTIME each (default 20s)

GO       ?= go
FUZZTIME ?= 20s
SOURCES  := $(shell find cmd components internal policy sandbox stacks -name '*.go' -o -name '*.py' -o -name '*.js' -o -name '*.sh')
TESTFLAGS ?=

.PHONY: preview test test-docker e2e lint vulncheck bench generate fuzz check up down clean go

preview: bin/alorig
	bin/alorig preview

check: bin/alorig
	bin/alorig check

bin/alorig: go.mod go.sum $(SOURCES) | go
	$(GO) build -o $@ ./cmd/alorig

bin/sandbox: go.mod go.sum $(SOURCES) | go
	$(GO) build -o $@ ./sandbox

up: bin/sandbox
	bin/sandbox up

down: bin/sandbox
	DATA=$(DATA) bin/sandbox down

test-docker: bin/alorig
	DOCKER_TESTS=1 $(GO) test -count=1 -timeout 10m -parallel 8 -v ./internal/containers ./cmd/alorig-server
	DOCKER_TESTS=1 PART='$(PART)' $(GO) test -count=1 -timeout 30m -v -run '^TestOnDocker$$' ./sandbox

e2e: bin/alorig
	E2E=1 PART='$(PART)' $(GO) test -count=1 -timeout 75m -v -run '^TestFleet$$' ./sandbox

test: go
	$(GO) test -race -shuffle=on -timeout 60m $(TESTFLAGS) ./...

# The linters are Go tools at pinned versions; their binaries stay in Go's build cache.
lint: go
	@command -v shellcheck >/dev/null || { echo "There is no shellcheck on the PATH (Debian: apt-get install shellcheck)." >&2; exit 2; }
	$(GO) tool -modfile=tools/lint/go.mod golangci-lint run ./...
	$(GO) tool -modfile=tools/actionlint/go.mod actionlint
	shellcheck .ci/run $(shell find sandbox -name '*.sh')
	$(GO) test -count=1 -run '^TestTheScriptsOfTheProgramAreSound$$' ./sandbox

# Needs the database of known vulnerabilities at vuln.go.dev.
vulncheck: go
	$(GO) tool -modfile=tools/govulncheck/go.mod govulncheck ./...

bench: bin/alorig
	$(GO) test -run '^$$' -bench . -benchmem ./stacks ./internal/engine

generate: go
	$(GO) generate ./...

fuzz: go
	@for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | cut -c6-); do \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x $$dir || exit 1; \
		done; \
	done

clean:
	rm -rf bin

go:
	@command -v $(GO) >/dev/null || { echo "There is no Go toolchain on the PATH; install Go 1.26 or newer from https://go.dev/dl." >&2; exit 2; }
