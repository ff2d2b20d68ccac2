#!/bin/sh
# Builds the lanes on Apache Thrift for C++:  build.sh OUT_DIR  ->  OUT_DIR/apache-server, OUT_DIR/apache-client
#
# Takes the code that tests/interop/cpp/build.sh generates. Does nothing when no input has changed. Exit codes:
# 0 built or up to date, 1 build failed, 2 usage, 3 a package is missing.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 OUT_DIR" >&2
    exit 2
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
peer=$root/build/interop/cpp
"$root/tests/interop/cpp/build.sh" "$peer" >"$out/apache.log" 2>&1 || {
    code=$?
    cat "$out/apache.log" >&2
    exit "$code"
}

cxx=${CXX:-c++}
stamp=$out/apache.stamp
now=$("$cxx" --version | head -1; thrift --version; cksum build.sh ./*.cpp ../bench.h "$peer/cpp-peer.stamp")
if [ -x "$out/apache-client" ] && [ -f "$stamp" ] && [ "$now" = "$(cat "$stamp")" ]; then
    exit 0
fi
rm -f "$stamp"
for name in Interop interop_types; do
    "$cxx" -std=c++17 -O2 -g -pthread -w -c "$peer/gen/$name.cpp" -o "$out/apache-$name.o"
done
for name in server client; do
    # bench.h is C; GNU's C++20 takes nearly all of it.
    "$cxx" -std=gnu++20 -O2 -g -Wall -Wextra -Wno-missing-field-initializers -Werror -pthread -isystem "$peer/gen" "$name.cpp" \
        "$out/apache-Interop.o" "$out/apache-interop_types.o" -o "$out/apache-$name" -lthrift
done
printf '%s\n' "$now" >"$stamp"
