# disk.sh DIR FILE: trains on a small disk that is too small, and on one that fills while it trains.
dir=$1; file=$2
store() { mkdir "$dir/store" && ln -s "$R1_KERNELS" "$dir/store/kernels"; }

echo foreseeable
mount -t tmpfs -o size=1m none "$dir" || exit 1
store
r1c run "$file" --store "$dir/store" --until gpt; echo "exit $?"
umount "$dir"

echo two stages
mount -t tmpfs -o size=1376k none "$dir" || exit 1
store
r1c run test/cli/Inputs/gate.r1 --store "$dir/store"; echo "exit $?"
r1c run test/cli/Inputs/gate.r1 --store "$dir/store" --until first; echo "exit $?"
umount "$dir"

echo not foreseeable
set -- --until gpt --set budget=2000steps --checkpoint-every 1
mount -t tmpfs -o size=6m none "$dir" || exit 1
store
r1c run "$file" --store "$dir/store" "$@" -q &
run=$!
until ls "$dir"/store/*/checkpoint.safetensors > /dev/null 2>&1; do
  kill -0 $run 2> /dev/null || exit 1
  sleep 0.02
done
cat /dev/zero > "$dir/filler" 2> /dev/null
wait $run; echo "exit $?"

echo room again
rm "$dir/filler"
r1c run "$file" --store "$dir/store" "$@"; echo "exit $?"
mkdir "$dir/whole" && ln -s "$R1_KERNELS" "$dir/whole/kernels"
r1c run "$file" --store "$dir/whole" "$@" -q
cmp "$dir"/store/*/model.safetensors "$dir"/whole/*/model.safetensors && echo the same weights
