# make run and make test need Go alone; what the other targets need, they say.

FUNCTIONS   := $(notdir $(patsubst %/,%,$(wildcard functions/*/)))
ARCH        ?= arm64
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# One static, stripped binary a function; sam build takes the same settings from the environment.
BUILD_ENV := CGO_ENABLED=0 GOFLAGS="-trimpath -tags=lambda.norpc -ldflags=-s"

.DEFAULT_GOAL := help
.PHONY: help run test build lint bench load invoke sam-e2e sam-build deploy secrets doctor notify-test clean

help: ## show this
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "%-12s %s\n", $$1, $$2}'

run: ## the bundle on this machine, against a simulated WeChat and AWS (PORT=3000)
	@go run ./cmd/local -binaries .build/local

test: ## all tests
	@if command -v "$$(go env CC)" >/dev/null 2>&1; then \
		echo "go test -race ./..."; CGO_ENABLED=1 go test -race ./...; \
	else \
		echo "go test ./... (no C compiler here, so without the race detector)"; go test ./...; \
	fi

build: ## build every function for Lambda into .build/NAME/bootstrap (ARCH=arm64 or amd64)
	@for f in $(FUNCTIONS); do \
		echo "build $$f"; \
		GOOS=linux GOARCH=$(ARCH) $(BUILD_ENV) go build -o .build/$$f/bootstrap ./functions/$$f || exit 1; \
	done

lint: ## gofmt, go vet, staticcheck, and cfn-lint where it is installed
	@unformatted=$$(gofmt -l cmd functions pkg); if [ -n "$$unformatted" ]; then echo "gofmt would change: $$unformatted"; exit 1; fi
	go vet ./...
	go run $(STATICCHECK) ./...
	@if command -v cfn-lint >/dev/null 2>&1; then \
		echo "cfn-lint -r us-east-1 cn-north-1 -- template.yaml"; cfn-lint -r us-east-1 cn-north-1 -- template.yaml; \
	else echo "cfn-lint is not installed, so template.yaml was not checked (pip install cfn-lint)"; fi

bench: ## measure the built functions against a minimal Lambda, for docs/speed.md (CHECK=1: hold the targets, in 3 minutes)
	@go run ./cmd/bench $(if $(CHECK),-check,-write docs/speed.md)

load: ## thousands of requests to the local API and the built functions (loopback only)
	@go run ./cmd/bench load

sam-build: ## sam build, with the settings that a Lambda wants (needs the SAM CLI)
	$(BUILD_ENV) sam build

invoke: ## sam local invoke: make invoke FUNCTION=drafts EVENT=list (needs the SAM CLI and Docker)
	@test -n "$(FUNCTION)" -a -n "$(EVENT)" || { echo "usage: make invoke FUNCTION=drafts EVENT=list"; exit 2; }
	@.ci/sam-invoke "$(FUNCTION)" "events/$(FUNCTION)/$(EVENT).json"

sam-e2e: ## every event and route through the SAM CLI (needs it and Docker)
	@.ci/sam-e2e

deploy: sam-build ## sam deploy, guided the first time (ENV=default, dev or prod)
	@if [ -z "$(ENV)" ] && ! sed -n '/^\[default\.deploy\./,/^\[/p' samconfig.toml | grep -q '^parameter_overrides'; then sam deploy --guided; \
	else sam deploy --config-env $(or $(ENV),default); fi

secrets: ## store the platform's secret, from prompts or FILE=platform.json (PREFIX=wechat/draftbox, KEY=ARN); the robots', with NOTIFY=1 FILE=robots.json
	@go run ./cmd/operator secrets $(if $(NOTIFY),-notify) $(if $(PREFIX),-prefix "$(PREFIX)") $(if $(KEY),-key "$(KEY)") $(if $(FILE),-file "$(FILE)")

doctor: ## what is well and what isn't, in STACK=name or in the local run (PORT=3000)
	@go run ./cmd/operator doctor $(if $(STACK),-stack "$(STACK)",$(if $(PORT),-local "http://127.0.0.1:$(PORT)"))

notify-test: ## send one message to each chat robot of STACK=name or of the local run (PORT=3000)
	@go run ./cmd/operator notify-test $(if $(STACK),-stack "$(STACK)",$(if $(PORT),-local "http://127.0.0.1:$(PORT)"))

clean: ## remove what was built
	rm -rf .build .aws-sam
