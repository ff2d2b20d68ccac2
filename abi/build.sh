#!/usr/bin/env bash
# Builds the C library:  abi/build.sh debug|release
#
#   target/<profile>/libkrpc.so.0   shared; only krpc_* is visible, versioned by abi/krpc.map
#   target/<profile>/libkrpc.so     link to it, for the linker
#   target/<profile>/libkrpc.a      static; one object, only krpc_* is global, so that a program may
#                                   contain other Rust libraries too
#   target/<profile>/libkrpc.libs   what a static link needs besides
#
# Cargo makes a static library, which is linked once more here: rustc can neither set a SONAME nor
# version symbols. Does nothing if nothing changed.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${1:-}
case $profile in
    debug) cargo_profile=dev features=test-hooks ;; # what tests link: steps can be made to fail
    release) cargo_profile=release features= ;;
    *) echo "usage: abi/build.sh debug|release" >&2; exit 2 ;;
esac
cc=${CC:-cc}
ld=${LD:-ld}
objcopy=${OBJCOPY:-objcopy}
strip=${STRIP:-strip}
nm=${NM:-nm}
for tool in "$cc" "$ld" "$objcopy" "$strip" "$nm"; do
    command -v "$tool" >/dev/null || { echo "needs $tool: apt-get install gcc binutils" >&2; exit 3; }
done

out=${CARGO_TARGET_DIR:-target}/$profile
work=$out/krpc-abi
mkdir -p "$work"
if command -v flock >/dev/null; then
    exec 9>"$work/lock"
    flock 9 # two builds at once would mix their files
fi

# Alone, never with the workspace: features of other members must not slip in.
if ! cargo rustc -p krpc --lib --crate-type staticlib --profile "$cargo_profile" --features "$features" --locked \
    -- --cfg krpc_c_library --print native-static-libs >"$work/cargo.log" 2>&1 9>&-; then
    cat "$work/cargo.log" >&2
    exit 1
fi
libs=$(sed -n 's/^note: native-static-libs: //p' "$work/cargo.log" | tail -1)

# Cargo puts its library where ours belongs, on each run; take it away before anybody links it.
rm -f "$work/core.a"
mv "$out/libkrpc.a" "$work/core.a"
stamp=$(stat -c '%s %Y' "$work/core.a"; cat abi/krpc.map abi/build.sh | cksum; "$cc" --version | head -1; echo "$libs")
if [ -f "$work/stamp" ] && [ "$stamp" = "$(cat "$work/stamp")" ] && [ -f "$work/libkrpc.a" ] && [ -f "$out/libkrpc.so.0" ]; then
    ln -f "$work/libkrpc.a" "$out/libkrpc.a"
    exit 0
fi
rm -f "$work/stamp"

# shellcheck disable=SC2086 # several words on purpose
"$cc" -shared -o "$work/libkrpc.so.0" \
    -Wl,--whole-archive "$work/core.a" -Wl,--no-whole-archive \
    -Wl,-soname,libkrpc.so.0 -Wl,--version-script,abi/krpc.map \
    -Wl,--gc-sections -Wl,-Bsymbolic -Wl,-z,nodelete -Wl,-z,relro -Wl,-z,now -Wl,-z,defs \
    -Wl,--as-needed $libs

# One object with everything that the exported functions need; the rest becomes local, and grouped
# sections lose their group, which other Rust libraries would share by name. Bitcode that came with
# Rust's own library goes: it is dead weight, and linkers with an older LLVM plugin fail on it.
"$nm" --defined-only -g -p "$work/core.a" 2>/dev/null | awk '$3 ~ /^krpc_/ { print "-u"; print $3 }' >"$work/roots"
"$ld" -r --gc-sections --force-group-allocation -o "$work/krpc.o" "@$work/roots" "$work/core.a"
"$objcopy" --wildcard --keep-global-symbol='krpc_*' -R .llvmbc -R .llvmcmd "$work/krpc.o"

if [ "$profile" = release ]; then
    "$strip" --strip-all "$work/libkrpc.so.0"
    "$strip" --strip-unneeded "$work/krpc.o"
fi
rm -f "$work/libkrpc.a"
"${AR:-ar}" -rcsD "$work/libkrpc.a" "$work/krpc.o"
rm "$work/krpc.o"

echo "$libs" >"$out/libkrpc.libs"
mv -f "$work/libkrpc.so.0" "$out/libkrpc.so.0"
ln -sf libkrpc.so.0 "$out/libkrpc.so"
ln -f "$work/libkrpc.a" "$out/libkrpc.a"
echo "$stamp" >"$work/stamp"
