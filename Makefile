# Thin: two commands, each doing all the set-up on a fresh Debian 12. The build itself is CMake (see CMakePresets.json).
PRESET ?= dev

.PHONY: help run test fuzz failures chaos power model tsan abi bench bench-full bench-peers setup build fmt clean

help:
	@echo 'make run                 build, start chatd, replay a chat through it and prove the result'
	@echo 'make run LOGS="file …"   the same with your own logs; HISTORIES=dir writes what each client reads'
	@echo 'make test                build and run every test'
	@echo 'make failures            fail one call after another, of memory, files and sockets, in each story of tests/failures (an hour; SECONDS=… for another time)'
	@echo 'make fuzz                let libFuzzer (clang) loose on each target of tests/fuzz for FUZZ_SECONDS (60)'
	@echo 'make model               try every interleaving of the models of the rules, to their full bounds (some minutes)'
	@echo 'make chaos               kill chatd 300 times among 50 people who chat, or for 15 minutes (KILLS, CHAOS_SECONDS, SEED)'
	@echo 'make power               cut the power 10,000 times (CUTS, SEED)'
	@echo 'make tsan                look for data races: loops, backends and people who chat, under ThreadSanitizer'
	@echo 'make aarch64             core and client for 64-bit ARM, cross-compiled; their unit tests under qemu'
	@echo 'make coverage            branch coverage of everything by unit and contract tests, as a table'
	@echo 'make analyze             static analysis of src and examples: gcc -fanalyzer and cppcheck'
	@echo 'make abi                 describe exported symbols and struct layouts anew (tests/abi), after a change that is meant'
	@echo 'make bench [SCENARIO=…]  measure chatd beside bare baselines, in ten minutes; bench-full: at full size'
	@echo 'make bench-peers         measure chatd beside servers that one might run instead (installs them)'
	@echo 'make build [PRESET=dev]  build only (dev, release, tsan, coverage, fuzz) into build/PRESET'
	@echo 'make setup               install what the build needs (apt)'
	@echo 'make fmt                 format the sources (needs clang-format)'
	@echo 'make clean               remove build/'

run: export LOGS := $(LOGS)
run: export HISTORIES := $(HISTORIES)
run: PRESET = release
run: build
	@scripts/run.sh

test: setup
	@scripts/test.sh

fuzz: setup
	@scripts/setup.sh clang libclang-rt-14-dev
	@scripts/fuzz.sh

failures: build
	@CHAT_SOURCE=. ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 build/dev/bin/chat-failures --seconds $(or $(SECONDS),3600) --seed $$(date +%s)

model: PRESET = release
model: build
	@build/release/bin/chat-model --full

chaos: PRESET = release
chaos: build
	@scripts/chaos.sh

power: PRESET = release
power: build
	@scripts/power.sh

tsan: setup
	@scripts/tsan.sh

.PHONY: aarch64
aarch64: setup
	@scripts/aarch64.sh

.PHONY: coverage
coverage: setup
	@scripts/coverage.sh all

.PHONY: analyze
analyze: setup
	@scripts/analyze.sh

abi: PRESET = release
abi: build
	@cmake --build build/release --target abi

# Long and with others beside it a figure is worth little: on a quiet machine.
bench bench-full: PRESET = release
bench: build
	@python3 bench/run.py $(SCENARIO)

bench-full: build
	@python3 bench/run.py --full $(SCENARIO)

bench-peers: PRESET = release
bench-peers: build
	@python3 bench/run_peers.py $(SCENARIO)

setup:
	@scripts/setup.sh

build: setup
	@cmake --preset $(PRESET) --log-level=WARNING >/dev/null
	@cmake --build --preset $(PRESET)

fmt:
	@command -v clang-format >/dev/null || { echo 'make fmt: clang-format is not installed'; exit 1; }
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf build
