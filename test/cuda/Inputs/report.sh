#!/usr/bin/env bash
# report.sh ROOT DIR ARCH: compiles the kernels of the examples and of test/ops for ARCH (equal ones once, by the store
# in DIR); fails if one spills registers, and shows it.
set -euo pipefail
report() {
  r1c compile "$1${2:+:$2}" "${@:4}" --store "$dir/store" --report --target "cuda:$arch" > "$dir/$3.$arch"
  grep -q ', 0 with spilled registers' "$dir/$3.$arch" || { cat "$dir/$3.$arch"; exit 1; }
}
root=$1 dir=$2 arch=$3
text=(--set "file=\"$root/docs/language.md\"")
report "$root/examples/hello.r1" gpt hello "${text[@]}"
report "$root/examples/hello.r1" eval hello-eval "${text[@]}"
report "$root/examples/hello.r1" gpt hello-bf16 "${text[@]}" --set 'gpt.precision=mixed(bf16)'
report "$root/examples/shakespeare.r1" gpt shakespeare "${text[@]}"
report "$root/examples/shakespeare.r1" gpt shakespeare-bf16 "${text[@]}" --set 'gpt.precision=mixed(bf16)'
for file in "$root"/test/ops/*.r1 "$root"/test/stdlib/layers.r1; do
  report "$file" "" "$(basename "$file")"
done
