# make demo   the main job on the bundled network: compile, simulate, report
# make test   everything that has to be true
# Both make .venv by themselves. PYTHON=... chooses the interpreter. Tests of the Lava backend need
# Python 3.10 too, and an environment of their own; where it cannot be made they are skipped.

CANDIDATES := python3.11 python3 python3.12 python3.13 python3.14 python
PYTHON := $(shell for p in $(CANDIDATES); do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)

VENV := .venv
IN_VENV := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
RUN_STAMP := $(VENV)/stamp-run
DEV_STAMP := $(VENV)/stamp-dev

MODEL := models/networks/fashion_avgpool.onnx
IMAGES := models/demo_images.npz
PROGRAM := fashion_avgpool.spikec

LAVA := .venv-lava
LAVA_PYTHON := $(CURDIR)/$(LAVA)/bin/python
export SPIKEC_LAVA_PYTHON ?= $(LAVA_PYTHON)

.PHONY: help demo test test-full lava clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo       compile the bundled network, run 500 images, report accuracy and energy'
	@echo 'make test       the quick tests, with ruff and strict mypy'
	@echo 'make test-full  all tests, the long ones too'
	@echo 'make lava       the environment of the Lava backend, from Python 3.10; tests make it too'
	@echo 'make clean      remove $(VENV), $(LAVA), caches and built files'
	@echo 'PYTHON=python3.12 chooses the interpreter (3.11 or newer; found: $(or $(PYTHON),none))'

# $(call show,command): print a command that the reader can repeat, and run it.
define show
@printf '\n$$ %s\n' '$(1)'
@$(IN_VENV) $(1)
endef

demo: $(RUN_STAMP)
	$(call show,spikec compile $(MODEL) --calibration $(IMAGES):calib_x --scale 1/255 --layout hw -T 8 --phi 4 -o $(PROGRAM))
	$(call show,spikec eval $(PROGRAM) $(IMAGES):test_x --labels $(IMAGES):test_y --ann $(MODEL))
	@printf '\nTo repeat a step: source $(VENV)/bin/activate, then the command behind the $$. See also: spikec --help\n'

test: $(DEV_STAMP)
	$(lava_if_possible)
	@$(IN_VENV) python -m pytest -m 'not slow'

test-full: $(DEV_STAMP)
	$(lava_if_possible)
	@$(IN_VENV) SPIKEC_FULL=1 python -m pytest

lava: $(RUN_STAMP)
	@$(IN_VENV) spikec lava setup --folder $(LAVA)

# An interpreter that the caller names is taken as it is.
define lava_if_possible
@[ "$$SPIKEC_LAVA_PYTHON" != "$(LAVA_PYTHON)" ] || $(MAKE) --no-print-directory lava >/dev/null || \
	echo 'There is no environment for Lava: the tests that need it are skipped.' >&2
endef

# The install is editable and points to this folder: a copy of the folder makes its own.
MADE_IN := $(shell cat $(VENV)/made-in 2>/dev/null)
ifneq ($(MADE_IN),$(CURDIR))
.PHONY: $(RUN_STAMP) $(DEV_STAMP)
endif

# Some systems ship Python without ensurepip; its own pip can then fill the environment.
define VENV_SCRIPT
if [ -z "$(PYTHON)" ]; then \
	echo "error: no Python 3.11 or newer found; install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
	echo "error: $(PYTHON) does not run, or is older than Python 3.11" >&2; exit 1; }; \
$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
	$(PYTHON) -m venv --without-pip $(VENV); \
	$(PYTHON) -m pip --python $(VENV)/bin/python install --quiet pip; }
endef

# $(call install,requirement,stamp): one install at a time, and none that another one has done.
# A stamp is written last, so whatever is interrupted is done again. The pinned build backend is
# installed first and stands in for an isolated build, which would take any version.
LOCK := $(shell command -v flock >/dev/null 2>&1 && echo flock $(VENV).lock)
PIP := PYTHONWARNINGS=ignore $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
define install
@$(LOCK) sh -ec '\
made_in=$$(cat $(VENV)/made-in 2>/dev/null || true); \
if [ "$$made_in" != "$(CURDIR)" ] && [ -n "$$made_in" ]; then rm -rf $(VENV); fi; \
if [ -n "$$made_in" ] && [ $(2) -nt pyproject.toml ] && [ $(2) -nt constraints.txt ]; then exit 0; fi; \
rm -f $(2); \
$(VENV)/bin/python -m pip --version >/dev/null 2>&1 || { $(VENV_SCRIPT); }; \
echo "Installing $(1) into $(VENV), once: a minute or two ..."; \
$(PIP) setuptools; \
$(PIP) --no-build-isolation -e "$(1)"; \
echo "$(CURDIR)" >$(VENV)/made-in; \
touch $(2)'
endef

$(RUN_STAMP): pyproject.toml constraints.txt
	$(call install,.,$@)

$(DEV_STAMP): $(RUN_STAMP)
	$(call install,.[dev],$@)

clean:
	rm -rf $(VENV) $(VENV).lock $(LAVA) $(LAVA).lock $(LAVA).part build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis $(PROGRAM)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
