# ncat closes its sending half after the request.
work
address=${URL#http://}
printf 'GET /ping/a-key/ncat/%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$(status)" "$address" |
    ncat -w "${PATIENCE}s" "${address%:*}" "${address#*:}" | grep -q '^HTTP/1.1 200'
