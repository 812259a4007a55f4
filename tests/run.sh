#!/usr/bin/env bash
# Runs every test, with what they need installed first.
#   tests/run.sh [ARGUMENTS OF cargo test]     install what is missing, then run the tests
#   tests/run.sh --setup                       only install what is missing
# The tests talk to real servers on loopback: on Debian and Ubuntu this script installs them; elsewhere it says what is
# missing. They are started and stopped by the tests themselves.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# program:package, as Debian names them.
needed=(
    cc:build-essential
    git:git
    prometheus:prometheus
    promtool:prometheus
    prometheus-node-exporter:prometheus-node-exporter
    prometheus-alertmanager:prometheus-alertmanager
    victoria-metrics:victoria-metrics
    tmux:tmux
    rsvg-convert:librsvg2-bin
    sqlite3:sqlite3
)

# Prints the packages of programs that are not there, one a line.
missing() {
    local entry
    for entry in "${needed[@]}"; do
        command -v "${entry%%:*}" >/dev/null || echo "${entry#*:}"
    done | sort -u
}

# Runs a command as root; fails when that can't be done without asking.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

setup() {
    local packages
    mapfile -t packages < <(missing)
    if [ "${#packages[@]}" -gt 0 ] && command -v apt-get >/dev/null && as_root true; then
        echo "installing: ${packages[*]}"
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null ||
            echo "apt-get could not install all of it" >&2
        hash -r
    fi
    mapfile -t packages < <(missing)
    if [ "${#packages[@]}" -gt 0 ]; then
        {
            echo "the tests need programs that are not here. On Debian or Ubuntu:"
            echo "    sudo apt-get install ${packages[*]}"
            echo "Elsewhere install what these packages hold: Prometheus with promtool, its node_exporter and Alertmanager,"
            echo "VictoriaMetrics, tmux, rsvg-convert, sqlite3, a C compiler, git; under Debian's names of the programs:"
            echo "    ${needed[*]%%:*}"
        } >&2
        return 1
    fi
}

setup
if [ "${1:-}" = --setup ]; then
    exit 0
fi
. tests/toolchain.sh
exec cargo test --locked "$@"
