# Makes a tiny data folder of texts of our own: make-store.sh BINARY DIR PORT. With the binary
# of commit cf2cfaf it made store-v3, with that of e5c59ad store-v4, with the first of format 5
# store-v5; each file went through gzip -9 -n. A new format gets a folder of its own.
set -e
B=$1; D=$2; P=$3
rm -rf $D; mkdir -p $D
$B serve --listen 127.0.0.1:$P --data-dir $D > $D.log 2>&1 & S=$!
for i in $(seq 50); do grep -q "listening on" $D.log && break; sleep 0.3; done
export DOUBLON_SERVER=http://127.0.0.1:$P
A="The old cable ferry at Valbrume will cross the river again next spring, the council said on Monday. Since the flood of last autumn the villages on both banks have been an hour apart by road. The ferryman Anselm Kerouet kept the winch oiled all winter, in a shed that he built himself from driftwood. Tickets will cost two crowns as before, and children ride for nothing on market days."
printf '%s' "$A" | $B put --id ferry --site valley.example --title "Ferry returns to Valbrume" --published 2026-11-23 
printf '%s' "$A" | sed 's/Monday/Tuesday/' | $B put --id ferry-copy --site river.example --published 2026-11-24 
printf '%s' "Nine otters were counted on the Brackwell canal at dawn by volunteers with lanterns. Two of them carried stones. The lock keeper Ilse Vandermolen says that she has seen none since the tannery closed, forty years ago, and that the eels have come back with them." | $B put --id otters --title "Otters back on the Brackwell" || true
if $B teasers --help >/dev/null 2>&1; then
printf '%s' "$A" | sed 's/next spring/next summer/' | $B put --id ferry --site valley.example --title "Ferry returns to Valbrume" --published 2026-11-23
$B match-teaser --watch --page-url https://valley.example/ --link-url https://valley.example/storms "The keeper of the Port Lannec lighthouse has written down every storm of the last forty years..." || true
$B match-teaser --watch --page-url https://canal.example/ "Nine otters were counted on the Brackwell canal at dawn by..." || true
$B match-teaser --watch --page-url https://hill.example/ "The beekeepers of Mount Sorrel moved three hundred hives by night to save the lime blossom..." || true
printf '%s' "The beekeepers of Mount Sorrel moved three hundred hives by night to save the lime blossom from the new quarry dust. Their oldest member Tobias Ferrant drove the first cart." | $B put --id bees
fi
kill -TERM $S; wait $S || true
