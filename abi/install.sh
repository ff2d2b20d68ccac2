#!/usr/bin/env bash
# Installs what `make` built: PREFIX (default /usr/local), LIBDIR (default PREFIX/lib), DESTDIR for packagers.
set -euo pipefail
cd "$(dirname "$0")/.."

prefix=${PREFIX:-/usr/local}
libdir=${LIBDIR:-$prefix/lib}
root=${DESTDIR:-}
from=${CARGO_TARGET_DIR:-target}/release
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)

case $prefix in /*) ;; *) echo "PREFIX must be an absolute path: $prefix" >&2; exit 2 ;; esac

# fill FILE.in TARGET: replaces @NAME@ by this installation's values.
fill() {
    sed -e "s|@PREFIX@|$prefix|g" -e "s|@LIBDIR@|$libdir|g" -e "s|@VERSION@|$version|g" \
        -e "s|@LIBS@|$(cat "$from/libkrpc.libs")|g" "$1" >"$2"
    chmod 644 "$2"
}

install -d "$root$prefix/include" "$root$libdir/pkgconfig" "$root$libdir/cmake/krpc" "$root$prefix/share/doc/krpc"
install -m 644 include/krpc.h "$root$prefix/include/"
if [ -d include/krpc ]; then # the C++ headers
    install -d "$root$prefix/include/krpc"
    install -m 644 include/krpc/*.hpp "$root$prefix/include/krpc/"
    install -m 644 include/krpc.hpp "$root$prefix/include/"
fi
install -m 755 "$from/libkrpc.so.0" "$root$libdir/"
ln -sf libkrpc.so.0 "$root$libdir/libkrpc.so"
install -m 644 "$from/libkrpc.a" "$root$libdir/"
if [ -x "$from/krpc" ]; then
    install -d "$root$prefix/bin"
    install -s --strip-program="${STRIP:-strip}" -m 755 "$from/krpc" "$root$prefix/bin/"
    # generated COMMAND… TARGET: what the program prints about itself.
    generated() {
        install -d "$(dirname "${*: -1}")"
        "$from/krpc" "${@:1:$#-1}" >"${*: -1}"
        chmod 644 "${*: -1}"
    }
    generated completions bash "$root$prefix/share/bash-completion/completions/krpc"
    generated completions zsh "$root$prefix/share/zsh/site-functions/_krpc"
    generated completions fish "$root$prefix/share/fish/vendor_completions.d/krpc.fish"
    generated man "$root$prefix/share/man/man1/krpc.1"
    for command in call serve bench idl; do
        generated man "$command" "$root$prefix/share/man/man1/krpc-$command.1"
    done
fi
fill abi/krpc.pc.in "$root$libdir/pkgconfig/krpc.pc"
fill abi/krpcConfig.cmake.in "$root$libdir/cmake/krpc/krpcConfig.cmake"
fill abi/krpcConfigVersion.cmake.in "$root$libdir/cmake/krpc/krpcConfigVersion.cmake"
install -m 644 README.md CHANGELOG.md LICENSE "$root$prefix/share/doc/krpc/"
echo "installed krpc $version into $root$prefix"
