#!/bin/sh
# Provides what AfterRun needs of the operating system and pip cannot install.
#
#   scripts/system-packages.sh           the programs that the tests run
#   scripts/system-packages.sh bench     the programs that the benchmarks run
#   scripts/system-packages.sh release   the programs that build packages and the image
#   scripts/system-packages.sh python    a Python for the virtual environment:
#                                        prints its name; PYTHON=... chooses one
#
# It installs with apt what is missing, and only that. When nothing is missing
# it changes nothing and says nothing.
set -eu

say() {
    printf '%s\n' "$@" >&2
}

give_up() {
    say "$@"
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# --- Installing with apt ------------------------------------------------------

POLICY=/usr/sbin/policy-rc.d
policy_is_ours=no
NO_CLUSTER=/etc/postgresql-common/createcluster.d/afterrun.conf
log=

clean_up() {
    if [ "$policy_is_ours" = yes ]; then $root rm -f "$POLICY"; fi
    $root rm -f "$NO_CLUSTER"
    if [ -n "$log" ]; then rm -f "$log"; fi
}

# Debian starts a service as soon as its package is unpacked. We want the
# programs: a Prometheus that nobody asked for would hold port 9090.
forbid_service_starts() {
    [ ! -e "$POLICY" ] || return 0
    policy_is_ours=yes
    printf '#!/bin/sh\nexit 101\n' | $root tee "$POLICY" >/dev/null
    $root chmod 755 "$POLICY"
}

# Debian creates a database cluster together with the server. The tests have their own.
forbid_clusters() {
    $root mkdir -p "${NO_CLUSTER%/*}"
    echo 'create_main_cluster = false' | $root tee "$NO_CLUSTER" >/dev/null
}

# Nor should one come up at the next boot.
disable_units_of() {
    [ -d /run/systemd/system ] || return 0
    dpkg -L "$@" | sed -n 's|.*/systemd/system/\([^/@]*\.service\)$|\1|p' |
        while read -r unit; do
            # A unit of the same name under /etc is the administrator's own.
            [ -e "/etc/systemd/system/$unit" ] || $root systemctl disable --quiet --now "$unit"
        done
}

apt_get() {
    $root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" \
        </dev/null >>"$log" 2>&1
}

# apt_install WHY COMMAND PACKAGE...: COMMAND is what to type as root when we may not.
apt_install() {
    why=$1 command=$2
    shift 2
    if [ "$(id -u)" = 0 ]; then
        root=
    elif have sudo && sudo -n true 2>/dev/null; then
        root='sudo -n'
    else
        if have sudo; then command="sudo $command"; else command="su -c '$command'"; fi
        give_up "$why" "Missing packages: $*. To install them, type this and then try again:" "" "    $command" ""
    fi

    say "Installing with apt: $*"
    log=$(mktemp)
    trap clean_up EXIT
    trap 'exit 130' HUP INT TERM
    forbid_service_starts
    case " $* " in *" postgresql "*) forbid_clusters ;; esac
    # One broken third-party source fails the update; the packages may still be there.
    apt_get update || true
    if ! apt_get install -y --no-install-recommends "$@"; then
        cat "$log" >&2
        give_up "" "$why" "apt could not install: $*. Its output is above."
    fi
    disable_units_of "$@"
}

# --- The programs that the tests run --------------------------------------------

programs=
packages=

# need PACKAGES PROGRAM [OTHER-NAME...]: remember them when no such program is on PATH.
need() {
    package=$1 program=$2
    shift
    for name; do
        if have "$name"; then return; fi
    done
    programs="$programs $program"
    case " $packages " in
        *" $package "*) ;;
        *) packages="$packages $package" ;;
    esac
}

# install_needed WHO COMMAND WHERE: install what is missing. WHERE others than Debian have it.
install_needed() {
    [ -n "$packages" ] || return 0
    why="$1 run programs that are not on PATH:$programs."
    have apt-get || give_up "$why" "Install them ($3) and try again."
    # shellcheck disable=SC2086  # a list of words
    apt_install "$why" "$2" $packages
}

provide_programs() {
    need prometheus prometheus
    need prometheus promtool
    # Debian renames Alertmanager; its own releases do not.
    need prometheus-alertmanager prometheus-alertmanager alertmanager
    need prometheus-alertmanager amtool
    # Debian renames Pushgateway; its own releases do not. The benchmarks run it, too.
    need prometheus-pushgateway prometheus-pushgateway pushgateway
    need curl curl
    # They close their sending half at once.
    need ncat ncat
    need socat socat
    need busybox busybox
    need sqlite3 sqlite3
    # Debian keeps the programs of the server in a folder for each version.
    need "postgresql postgresql-common" initdb /usr/lib/postgresql/*/bin/initdb
    need pgbouncer pgbouncer /usr/sbin/pgbouncer
    # The load balancer in front of replicas.
    need haproxy haproxy /usr/sbin/haproxy
    # Sets the clock of the daemon.
    need faketime faketime
    # borgmatic, one of the clients in the tests, backs up with it.
    need borgbackup borg
    # More clients that report to the daemon.
    need ncat ncat
    need perl perl
    need wget wget
    need tar tar
    need gzip gzip
    # Units are checked, and commands run where the documents show them.
    need systemd systemd-analyze
    # Installs the crontabs that `afterrun import crontab` rewrites.
    need cron crontab
    need util-linux unshare
    need iproute2 ip
    need dash dash
    # Sends the mail with a report, as sendmail does.
    need msmtp msmtp
    # Pythons of other suites of Debian, which bring their own libraries.
    need patchelf patchelf
    # Shells that complete commands.
    need zsh zsh
    need fish fish
    # The page is looked at in a real browser.
    need chromium chromium
    # TypeScript holds the dashboards against Grafana's own types.
    need nodejs node nodejs
    need npm npm
    install_needed "The tests" scripts/system-packages.sh "Prometheus and Alertmanager: https://prometheus.io/download/"
    provide_kustomize
}

# Debian 12 and 13 have no kustomize. The one of a later Debian runs there, too.
KUSTOMIZE=build/kustomize/usr/bin/kustomize

provide_kustomize() {
    if have kustomize || [ -x "$KUSTOMIZE" ]; then return; fi
    why="The tests run kustomize, which is not on PATH. Install it (https://kubectl.docs.kubernetes.io/installation/kustomize/) and try again."
    have apt-get && have dpkg-deb || give_up "$why"
    say "Downloading kustomize of Debian forky into build/kustomize"
    at=$(mktemp -d)
    mkdir -p "$at/lists/partial" "$at/cache/archives/partial"
    : >"$at/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian forky main" >"$at/sources"
    private_apt() {
        (cd "$at" && apt-get -o Dir::Etc::sourcelist="$at/sources" -o Dir::Etc::sourceparts=- -o Dir::State::Lists="$at/lists" \
            -o Dir::Cache="$at/cache" -o Dir::State::status="$at/status" -o Acquire::Retries=3 "$@") >>"$at/log" 2>&1
    }
    mkdir -p build
    if ! { private_apt update && private_apt download kustomize && dpkg-deb -x "$at"/kustomize_*.deb "$at/root"; }; then
        cat "$at/log" >&2
        give_up "" "$why"
    fi
    rm -rf build/kustomize
    mv "$at/root" build/kustomize
    rm -rf "$at"
}

# --- The programs that the benchmarks run -----------------------------------------

provide_peers() {
    need prometheus-pushgateway prometheus-pushgateway pushgateway
    need wrk wrk
    need util-linux taskset
    install_needed "The benchmarks" "scripts/system-packages.sh bench" "Pushgateway: https://prometheus.io/download/"
}

# --- The programs that build packages and the image -------------------------------

provide_builders() {
    # scripts/debian-root.sh makes roots of other Debian releases with it.
    need debootstrap debootstrap
    need buildah buildah
    install_needed "A release" "scripts/system-packages.sh release" "of Debian: dpkg-deb, debootstrap"
}

# --- A Python that can make virtual environments --------------------------------

is_recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Debian keeps ensurepip, which venv needs, in a package of its own.
can_make_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

find_python() {
    # Run each one: a version manager's stand-in can be on PATH without a Python behind it.
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if is_recent "$python"; then
            return
        fi
    done
    if [ -n "${PYTHON:-}" ]; then
        give_up "PYTHON=$PYTHON is not a Python 3.11 or newer."
    fi
    found=$(python3 --version 2>/dev/null) || found="no Python 3"
    give_up "AfterRun needs Python 3.11 or newer; this machine has $found." \
        "Install one (Debian 12, Ubuntu 24.04 and later: apt-get install python3 python3-venv;" \
        "Ubuntu 22.04: apt-get install python3.11 python3.11-venv), or name one: make run PYTHON=/path/to/python3"
}

provide_python() {
    find_python
    if ! can_make_venv "$python"; then
        package=${python##*/}-venv
        why="$python cannot make virtual environments: it comes without ensurepip."
        have apt-get || give_up "$why" "Install your system's package for Python's venv module and try again."
        apt_install "$why" "apt-get install -y $package" "$package"
        can_make_venv "$python" || give_up "$why" "Installing $package did not change that; name another: make run PYTHON=/path/to/python3"
    fi
    echo "$python"
}

case "${1:-programs}" in
    programs) provide_programs ;;
    bench) provide_peers ;;
    release) provide_builders ;;
    python) provide_python ;;
    *) give_up "usage: scripts/system-packages.sh [python|bench|release]" ;;
esac
