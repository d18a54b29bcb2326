#!/usr/bin/env bash
# ranks_standin.sh FAKES ROOT DIR NAME RANKS [ARGUMENT...]: the small net with shards = 4 on RANKS processes with a
# GPU each, with the stand-ins of test/fakes in the place of driver, cuBLASLt and NCCL; into the store DIR/NAME.
fakes=$1 root=$2 dir=$3 name=$4 ranks=$5
shift 5
mkdir -p "$dir/$name"
[ -e "$dir/$name/kernels" ] || [ ! -e "$dir/kernels" ] || cp -r "$dir/kernels" "$dir/$name/"
export LD_LIBRARY_PATH=$fakes/cuda:$fakes/cublaslt:$fakes/nccl R1_PLUGINS=$fakes/cuda
export R1_FAKE_CUDA=${R1_FAKE_CUDA:-devices=4}
launch=()
[ "$ranks" = 1 ] || launch=("$root/test/proofs/ranks" "$ranks")
timeout 60 "${launch[@]}" r1c run -q "$root/test/proofs/Inputs/nets.r1:gpt" --set "file=\"$root/docs/language.md\"" \
  --threads 1 --set net.budget=3steps --set 'net.on=device(shards = 4, bits = "exact")' --target cuda \
  --store "$dir/$name" "$@"
code=$?
[ -e "$dir/kernels" ] || cp -r "$dir/$name/kernels" "$dir/" 2>/dev/null
echo "exit $code"
