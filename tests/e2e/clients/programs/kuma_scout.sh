# kuma-scout runs a check and pushes what came of it.
export HOME="$FOLDER"
kuma-scout cmdcheck "sh -c 'touch $MARK; exit $(status)'" --uptime-kuma-url "$URL/api/push" \
    --token kuma-scout --log-file "$FOLDER/log"
