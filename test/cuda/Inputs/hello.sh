#!/usr/bin/env bash
# hello.sh ROOT DIR TARGET [NAME]: trains examples/hello.r1 at a small size into the store DIR/NAME.
set -euo pipefail
r1c run -q "$1/examples/hello.r1" --set "file=\"$1/docs/language.md\"" --set gpt.model.D=64 \
  --set gpt.model.L=2 --set seq=32 --set gpt.batch=4 --set gpt.budget=20steps --set vocab=300 \
  --until gpt --store "$2/${4:-$3}" --target "$3"
