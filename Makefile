# `make help` lists the targets.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Build tags of tests that need more than Go: e2e real browsers, redis a real
# Redis, valkey a Valkey (not every Debian has one), soak hours. Without a tag a
# test needs nothing but Go.
TAGS  := e2e,redis
VALKEY = $$(command -v valkey-server >/dev/null && echo ,valkey)
PKGS  := ./...
# Packages that start browsers and programs run after the others; the longest
# is begun first, and mostly waits.
FIRST := $$($(GO) list -tags $(TAGS) ./... | grep -v '/test/')
THEN  := ./test/e2e ./test/...
# Packages with tests that can't run under -race.
UNRACED := ./hub
# -race needs cgo and a C compiler.
RACE  = $$(if [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v "$$($(GO) env CC)" >/dev/null; then echo -race; fi)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: run
run: ## Run the demo on http://localhost:8080
	$(GO) run .

.PHONY: test
test: deps check types manifests ## Install what is missing, then check and test everything
	$(GO) run ./test/report \
		-run "-race -count=1 -timeout 20m -p 2 -tags $(TAGS)$(VALKEY) $(FIRST)" \
		-run "-count=1 -timeout 20m $(UNRACED)" \
		-run "-race -count=1 -timeout 20m -p 2 -tags $(TAGS) $(THEN)"

.PHONY: test-go
test-go: gofmt ## Check and test what needs Go alone
	$(GO) vet $(PKGS)
	$(GO) run ./test/report -run "$(RACE) -timeout 10m $(PKGS)" -run "-timeout 10m $(UNRACED)"

.PHONY: check
check: gofmt ## gofmt, go vet, staticcheck
	$(GO) vet -tags $(TAGS),valkey,soak $(PKGS)
	$(GO) run $(STATICCHECK) -tags $(TAGS),valkey,soak $(PKGS)

.PHONY: gofmt
gofmt:
	@files=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')) && \
	if [ -n "$$files" ]; then echo "not formatted by gofmt:"; echo "$$files"; exit 1; fi

.PHONY: types
types: test/js/node_modules/.package-lock.json ## Check the types of the JavaScript in static/
	test/js/node_modules/.bin/tsc -p test/js/page
	test/js/node_modules/.bin/tsc -p test/js/worker
	rm -rf test/js/declared && test/js/node_modules/.bin/tsc -p test/js/declare --outDir test/js/declared
	diff -r test/js/declared static/sdk/types || { echo "static/sdk/types differs from what its sources declare: make sdk"; exit 1; }
	rm -rf test/js/declared
	test/js/node_modules/.bin/tsc -p test/js/adopt

.PHONY: sdk
sdk: test/js/node_modules/.package-lock.json ## Make static/sdk/dist and static/sdk/types of their sources
	$(GO) run ./static/pack
	rm -rf static/sdk/types && test/js/node_modules/.bin/tsc -p test/js/declare

test/js/node_modules/.package-lock.json: test/js/package.json test/js/package-lock.json
	cd test/js && npm ci --no-audit --no-fund
	@touch $@

.PHONY: manifests
manifests: ## Read deploy/ as Kubernetes and Compose would
	cd deploy/schema && $(GO) vet ./... && $(GO) test -count=1 ./...

.PHONY: deps
deps: ## Install what the tests need beyond Go (Debian, as root)
	scripts/test-deps.sh

.PHONY: soak
soak: ## Kill, freeze and cut off nodes and Redis for an hour; SEED replays; MESSAGES, MINUTES, KILLS, FAILOVERS
	$(GO) test -tags soak -count=1 -timeout 2h -v -run 'Soak|Failover' ./test/chaos

.PHONY: bench
bench: ## The benchmarks and their figures, in some six minutes
	$(GO) run ./test/load

.PHONY: shots
shots: ## Pictures of the pages, into test/shots/
	$(GO) test -tags e2e,shots -count=1 -timeout 10m -v -run Shots ./test/e2e/...
