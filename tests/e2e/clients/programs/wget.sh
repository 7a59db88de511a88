# wget, as in a crontab: the exit status is the last segment of the path.
work
wget --quiet --tries=3 --waitretry=1 --timeout="$PATIENCE" --retry-on-http-error=502 --output-document=- \
    "$URL/ping/a-key/wget/$(status)?rid=$RID"
