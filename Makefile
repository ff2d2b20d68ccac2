# Every task is one target; people, the README and CI use the same ones. scripts/task does the work.

PREFIX  ?= /usr/local
DESTDIR ?=
TASK    := @scripts/task

.DEFAULT_GOAL := build
.PHONY: build help demo test test-rust test-c test-install test-hosts test-interop test-conformance test-long \
        header lint asan valgrind faults sim sim-long faults-long loom restarts connections soak abidiff fuzz-abi \
        fuzz-smoke bench bench-quick bench-codec performance install clean

build: ## the release library: target/release/libkrpc.so, libkrpc.so.0, libkrpc.a
	$(TASK) build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

demo: ## the main job on real input
	$(TASK) demo

test: ## everything that CI runs
	$(TASK) test

test-rust: ## unit and integration tests of the core
	$(TASK) test-rust

test-c: ## C programs and examples against the shared library, plain and under valgrind
	$(TASK) test-c

test-install: ## install, then build an outsider's program with pkg-config and CMake
	$(TASK) test-install

test-hosts: ## foreign event loops: asyncio through ctypes, epoll
	$(TASK) test-hosts

test-conformance: ## the calls that every language must make alike, by the C runner; test-rust has Rust's
	$(TASK) test-conformance

test-interop: ## against real peers
	$(TASK) test-interop

test-long: ## test, plus a 10 GB export, loom, abidiff, ASan, longer simulation, faults and fuzzing, restarts, a soak
	$(TASK) test-long

header: ## write include/krpc.h and abi/*.txt anew after a change in src/capi
	$(TASK) header

lint: ## formatting, clippy, licences, shell and Go sources
	$(TASK) lint

asan: ## the C programs with AddressSanitizer and UBSan
	$(TASK) asan

valgrind: ## the C programs under valgrind only
	$(TASK) valgrind

faults: ## the examples, while one system call of the library fails
	$(TASK) faults

faults-long: ## the same for every call of every example
	$(TASK) faults-long

sim-long: ## 200,000 simulated schedules for each protocol, and every order of longer scripts
	$(TASK) sim-long

loom: ## every interleaving of the models of src/op and src/io, to a bound
	$(TASK) loom

restarts: ## twenty rolling restarts under load, with Kitex's callers and ours
	$(TASK) restarts

connections: ## 10,000 idle connections, and what each takes
	$(TASK) connections

soak: ## mixed load for twenty minutes, or KRPC_SOAK seconds: nothing may grow
	$(TASK) soak

abidiff: ## the library's ABI, compared with that of the last commit
	$(TASK) abidiff

fuzz-abi: ## random calls over the whole ABI for ten seconds
	$(TASK) fuzz-abi

fuzz-smoke: ## each fuzz target for three seconds
	$(TASK) fuzz-smoke

bench: ## speed, against the floor and real peers
	$(TASK) bench

bench-quick: ## the same in under five minutes: the lanes that tell most
	$(TASK) bench-quick

performance: ## docs/performance.md and its picture, from a run of bench; wants a quiet machine
	$(TASK) performance

bench-codec: ## speed of IDL and JSON, against serde_json, and of krpc call
	$(TASK) bench-codec

sim: ## retry policies in a simulated fleet: the tables of docs/retry-simulation.md
	$(TASK) sim

install: ## into PREFIX (default /usr/local), below DESTDIR if set
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/task install

clean: ## remove everything that was built
	$(TASK) clean
