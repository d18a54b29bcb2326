#!/usr/bin/env bash
# texts.sh ROOT STORE TARGET: what the model of test/cuda/Inputs/hello.sh in STORE writes on a target, as JSON.
set -euo pipefail
model=("$1/examples/hello.r1:gpt" --set "file=\"$1/docs/language.md\"" --set gpt.model.D=64 --set gpt.model.L=2
  --set seq=32 --set gpt.batch=4 --set gpt.budget=20steps --set vocab=300 --store "$2" --target "$3")
for options in "--temperature 0" "--temperature 0.9 --top-p 0.9" "--beams 3"; do
  printf '{"id": %d, "prompt": "%s"}\n' 0 "The " 1 "A stage of a pipeline is" 2 "let" |
    r1c generate -q "${model[@]}" --stdio --batch 2 --logprobs --max-new 40 $options | sort
done
