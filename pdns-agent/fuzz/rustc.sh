#!/bin/sh
# Cargo's RUSTC_WRAPPER for the fuzz targets: libFuzzer sees the coverage of our own crates alone. To count that of all
# dependencies, all of them would have to be built for it.
case "$CARGO_MANIFEST_DIR" in
*/pdns-agent | */pdns-agent/fuzz | */pdns-ebpf-common)
    set -- "$@" --cfg fuzzing -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$@"
