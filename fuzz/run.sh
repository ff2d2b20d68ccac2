#!/bin/sh
# Builds every fuzz target and runs each for a number of seconds (default 5) from its seed corpus.
# What the fuzzer finds is kept under fuzz/target, the seeds stay as they are.
set -u
cd "$(dirname "$0")" || exit 1
seconds=${1:-5}
targets="ttheader skip detect envelope json_to_thrift thrift_to_json idl ttstream stream stream_link mux server"

# The coverage instrumentation that libFuzzer listens to; it needs no nightly compiler.
# Where the library has a model for the fuzzer alone, `cfg(fuzzing)` opens it.
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
CARGO_TARGET_DIR=target
export RUSTFLAGS CARGO_TARGET_DIR
# A target triple of its own keeps build scripts out of the instrumentation.
triple=$(rustc -vV | sed -n 's/^host: //p')
cargo build --quiet --release --target "$triple" || exit 1

passed=0
failed=0
for target in $targets; do
    found=target/corpus/$target
    mkdir -p "$found"
    if "target/$triple/release/$target" -max_total_time="$seconds" -max_len=4096 -timeout=5 \
        -rss_limit_mb=512 -artifact_prefix="target/$target-" -print_final_stats=1 \
        "$found" "corpus/$target" >"target/$target.log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "target/$target.log")
        echo "ok      $target, $runs runs"
        passed=$((passed + 1))
    else
        echo "FAILED  $target, the end of fuzz/target/$target.log:"
        tail -n 20 "target/$target.log"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
