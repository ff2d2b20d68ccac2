#!/bin/sh
# Builds the C peer:  build.sh OUT_DIR  ->  OUT_DIR/krpc-peer
#
# Links it with the debug library that `abi/build.sh debug` left in target/debug, and with nothing else.
# Does nothing when no source has changed. Exit codes: 0 built or up to date, 1 build failed, 2 usage, 3 no
# C compiler.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 OUT_DIR" >&2
    exit 2
fi
cc=${CC:-cc}
if ! command -v "$cc" >/dev/null 2>&1; then
    echo "krpc-peer: needs $cc: apt-get install gcc" >&2
    exit 3
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
lib=${CARGO_TARGET_DIR:-$root/target}/debug

stamp=$out/krpc-peer.stamp
now=$("$cc" --version | head -1; echo "$lib"; cksum build.sh ./*.[ch] "$root/include/krpc.h")
if [ -x "$out/krpc-peer" ] && [ -f "$stamp" ] && [ "$now" = "$(cat "$stamp")" ]; then
    echo "krpc-peer: up to date"
    exit 0
fi
rm -f "$stamp"
"$cc" -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Werror -pedantic -Wconversion -g -O1 \
    -I"$root/include" ./*.c -o "$out/krpc-peer" -pthread -L"$lib" -lkrpc -Wl,-rpath,"$lib"
printf '%s\n' "$now" >"$stamp"
echo "krpc-peer: built $out/krpc-peer"
