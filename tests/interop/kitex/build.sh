#!/bin/sh
# Builds the Kitex peer:  build.sh OUT_DIR  ->  OUT_DIR/kitex-peer
#
# Builds Kitex's code generator from the version in go.mod, generates code from
# ../idl/interop.thrift into kitex_gen/ (not committed), and compiles the peer.
# Does nothing when no input changed. Needs Go 1.22 or newer and, the first
# time, a Go module proxy.
#
# Exit codes: 0 built or up to date, 1 build failed, 2 usage, 3 Go not found.
set -eu

say() { echo "kitex-peer: $*"; }

if [ $# -ne 1 ]; then
    echo "usage: $0 OUT_DIR" >&2
    exit 2
fi
if ! command -v go >/dev/null 2>&1; then
    echo "kitex-peer: Go not found: install Go 1.22 or newer and put it on PATH" >&2
    exit 3
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
idl=../idl/interop.thrift
streams=../idl/streams.thrift
based=../idl/based.thrift

# Two builds at a time would generate into the same kitex_gen.
if command -v flock >/dev/null 2>&1; then
    exec 9>"$out/kitex-peer.lock"
    flock 9
fi

inputs() {
    go version
    cksum build.sh go.mod go.sum "$idl" "$streams" "$based" ../idl/base.thrift ./*.go
}
stamp=$out/kitex-peer.stamp
now=$(inputs)
if [ -x "$out/kitex-peer" ] && [ -f "$stamp" ] && [ "$now" = "$(cat "$stamp")" ]; then
    say "up to date"
    exit 0
fi
rm -f "$stamp"

export GOFLAGS="${GOFLAGS:-} -buildvcs=false"
say "building the code generator"
go build -o "$out/kitex-gen" github.com/cloudwego/kitex/tool/cmd/kitex

say "generating code from $(basename "$idl")"
rm -rf kitex_gen
# The dependency check would ask go for the Kitex version that go.mod pins anyway.
"$out/kitex-gen" -type thrift -module kitexpeer -gen-path kitex_gen -no-dependency-check "$idl"
"$out/kitex-gen" -type thrift -module kitexpeer -gen-path kitex_gen -no-dependency-check "$based"
# Streams have their second API, which this flag asks for.
"$out/kitex-gen" -type thrift -module kitexpeer -gen-path kitex_gen -no-dependency-check -streamx "$streams"

say "compiling the peer"
go build -o "$out/kitex-peer" .

printf '%s\n' "$now" >"$stamp"
say "built $out/kitex-peer"
