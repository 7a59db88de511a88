#!/bin/sh
# Makes a minimal Debian of its own in a folder, and runs a command in it, as root.
#
#   scripts/debian-root.sh make SUITE FOLDER            bookworm, trixie, ...
#   scripts/debian-root.sh run FOLDER COMMAND...
#
# A fresh root is unpacked from a copy that AFTERRUN_ROOTS keeps; the first one of a suite
# takes minutes. What is installed in a root does not touch this machine. It has the
# network and the processors of this machine, and processes of its own, but no systemd.
set -eu

roots=${AFTERRUN_ROOTS:-${XDG_CACHE_HOME:-$HOME/.cache}/afterrun/roots}

if [ "$(id -u)" != 0 ]; then
    echo "Making a Debian root needs the rights of root: run it with sudo." >&2
    exit 1
fi

make_root() {
    suite=$1 folder=$2
    if [ ! -e "$roots/$suite.tar" ]; then
        command -v debootstrap >/dev/null || {
            echo "debootstrap is missing: apt-get install debootstrap" >&2
            exit 1
        }
        mkdir -p "$roots"
        new=$(mktemp -d "$roots/new.XXXXXX")
        debootstrap --variant=minbase --include=ca-certificates "$suite" "$new" >"$roots/$suite.log" || {
            tail -n 20 "$roots/$suite.log" >&2
            exit 1
        }
        rm -rf "$new"/var/cache/apt/archives/*.deb
        tar -C "$new" --one-file-system -cf "$new.tar" .
        mv "$new.tar" "$roots/$suite.tar"
        rm -rf "$new"
    fi
    mkdir -p "$folder"
    tar -C "$folder" -xf "$roots/$suite.tar"
    # Of mktemp, it would be closed to the users in it.
    chmod 755 "$folder"
    cp -L /etc/resolv.conf /etc/hosts "$folder/etc/"
    # Of a proxy that this machine trusts.
    cp -L /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/"
    echo 'APT::Install-Recommends "false";' >"$folder/etc/apt/apt.conf.d/90afterrun"
}

run_in_root() {
    folder=$1
    shift
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DEFAULT_TIMEOUT=180 \
        ${SOURCE_DATE_EPOCH:+SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH"} \
        unshare --mount --pid --fork --kill-child --mount-proc="$folder/proc" chroot "$folder" "$@"
}

case "${1:-}" in
    make) make_root "$2" "$3" ;;
    run)
        shift
        run_in_root "$@"
        ;;
    *)
        sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
