# waits.sh FILE STORE: what a run that waits for people says, without its progress and the store's place.
r1c run "$1" --store "$2" 2>&1 >/dev/null | sed 's, --store .*,,'
