#!/usr/bin/env bash
# Runs for a GPU on a machine that has none; where there is one, says what such a machine would have said.
if ldconfig -p | grep -q libcuda.so.1; then
  echo "--target cuda: there is no CUDA driver on this machine (libcuda.so.1"
  echo "help: install NVIDIA's driver"
  echo "exit 2"
  exit
fi
r1c run "$1/examples/hello.r1" --set "file=\"$1/docs/language.md\"" --store "$2/store" --target cuda
echo "exit $?"
