#!/usr/bin/env bash
# standin.sh FAKES ROOT DIR NAME [ARGUMENT...]: trains examples/hello.r1 at a small size with --target cuda, the
# stand-ins of test/fakes in the place of a GPU, into the store DIR/NAME. R1_FAKE_CUDA says what they do,
# R1_FAKE_CUBLASLT what cuBLASLt does, which is asked with BITS=run.
fakes=$1 root=$2 dir=$3 name=$4
shift 4
mkdir -p "$dir/$name"
[ -e "$dir/$name/kernels" ] || [ ! -e "$dir/kernels" ] || cp -r "$dir/kernels" "$dir/$name/"
LD_LIBRARY_PATH=$fakes/cuda:$fakes/cublaslt R1_PLUGINS=$fakes/cuda \
  r1c run -q "$root/examples/hello.r1" --set "file=\"$root/docs/language.md\"" --set gpt.model.D=64 \
  --set gpt.model.L=2 --set seq=32 --set gpt.batch=4 --set gpt.budget=20steps --set vocab=300 \
  --set 'gpt.on=device(bits = "'"${BITS:-exact}"'")' --until gpt --store "$dir/$name" --target cuda "$@"
code=$?
[ -e "$dir/kernels" ] || cp -r "$dir/$name/kernels" "$dir/" 2>/dev/null
echo "exit $code"
