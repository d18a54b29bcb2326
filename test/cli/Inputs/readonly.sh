# readonly.sh DIR FILE: a finished store on a file system that then becomes read-only.
mount -t tmpfs -o size=256m none "$1" || exit 1
mkdir "$1/store"
cp -r "$R1_KERNELS" "$1/store/kernels" 2> /dev/null
r1c run "$2" --store "$1/store" -q || exit 1
mount -o remount,ro "$1" || exit 1
r1c run "$2" --store "$1/store"; echo "all cached: $?"
r1c generate "$2:gpt" "The river" --store "$1/store" --max-new 2 | cat -v
r1c run "$2" --store "$1/store" --set L=2; echo "something to make: $?"
