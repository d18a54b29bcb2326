#!/bin/sh
# store.sh DIR: an empty store at DIR that takes its kernels from the cache $R1_KERNELS.
set -e
rm -rf "$1"
mkdir -p "$1" "$R1_KERNELS"
ln -s "$R1_KERNELS" "$1/kernels"
