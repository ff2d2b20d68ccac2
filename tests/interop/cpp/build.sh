#!/bin/sh
# Builds the peer on Apache Thrift for C++:  build.sh OUT_DIR  ->  OUT_DIR/cpp-peer
#
# Generates code from ../idl/interop.thrift into OUT_DIR/gen. Does nothing when no input has changed.
# Exit codes: 0 built or up to date, 1 build failed, 2 usage, 3 a package is missing.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 OUT_DIR" >&2
    exit 2
fi
missing() { echo "cpp-peer: needs $1: apt-get install $2" >&2; exit 3; }

cxx=${CXX:-c++}
command -v "$cxx" >/dev/null 2>&1 || missing "$cxx" g++
command -v thrift >/dev/null 2>&1 || missing thrift thrift-compiler
echo '#include <thrift/transport/TSocket.h>' | "$cxx" -fsyntax-only -x c++ - 2>/dev/null ||
    missing "Apache Thrift's headers for C++, and Boost's" "libthrift-dev libboost-dev"
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
idl=../idl/interop.thrift

stamp=$out/cpp-peer.stamp
now=$("$cxx" --version | head -1; thrift --version; cksum build.sh ./*.cpp ./*.hpp "$idl")
if [ -x "$out/cpp-peer" ] && [ -f "$stamp" ] && [ "$now" = "$(cat "$stamp")" ]; then
    echo "cpp-peer: up to date"
    exit 0
fi
rm -rf "$stamp" "$out/gen"
mkdir "$out/gen"
# To the compiler `next` is a reserved word here, and a struct holds another of its kind by pointer only if the
# IDL says so. Neither travels.
sed 's/^namespace go/namespace cpp/; s/optional Node next/optional Node \& following/' "$idl" >"$out/gen/interop.thrift"
thrift --gen cpp -out "$out/gen" "$out/gen/interop.thrift" >"$out/thrift.log" 2>&1 || { cat "$out/thrift.log"; exit 1; }

# One object for each source, two at a time: generated code takes a while.
flags="-std=c++17 -g -O1 -pthread -isystem $out/gen"
for source in ./*.cpp; do
    echo "$source $(basename "$source" .cpp).o -Wall -Wextra -Werror -pedantic"
done >"$out/sources.txt"
for name in Interop Second Unknown interop_types; do
    echo "$out/gen/$name.cpp gen-$name.o -w"
done >>"$out/sources.txt"
xargs -P 2 -L 1 sh -c 'cxx=$1 out=$2 flags=$3 source=$4 object=$5; shift 5
    exec $cxx $flags "$@" -c "$source" -o "$out/gen/$object"' _ "$cxx" "$out" "$flags" <"$out/sources.txt"
"$cxx" -pthread "$out"/gen/*.o -lthrift -o "$out/cpp-peer"
printf '%s\n' "$now" >"$stamp"
echo "cpp-peer: built $out/cpp-peer"
