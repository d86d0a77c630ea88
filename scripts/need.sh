# Sourced by the other scripts: installs the programs that they need.

# need COMMAND PACKAGE: installs a system package if its command is missing.
need() {
    command -v "$1" >/dev/null || install_packages "$2"
}

# need_venv: on Debian and its derivatives, the `venv` module of Python is in a separate package.
need_venv() {
    need python3 python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
}

# wish COMMAND:PACKAGE… (or FILE:PACKAGE): like `need`, but for programs that are useful and not necessary. Does nothing unless it runs as root.
wish() {
    local pair missing=()
    for pair; do
        command -v "${pair%%:*}" >/dev/null || [ -e "${pair%%:*}" ] || missing+=("${pair#*:}")
    done
    if [ "$(id -u)" = 0 ] && [ ${#missing[@]} != 0 ]; then
        (install_packages "${missing[@]}") || echo "continuing without ${missing[*]}" >&2
    fi
}

need_cargo() {
    command -v cargo >/dev/null || {
        echo "Rust is missing: see https://rustup.rs" >&2
        exit 1
    }
}

install_packages() {
    local root=()
    [ "$(id -u)" = 0 ] || root=(sudo)
    command -v apt-get >/dev/null || {
        echo "$* is missing, and there is no apt-get to install it with" >&2
        exit 1
    }
    if [ -z "${apt_updated-}" ]; then
        "${root[@]}" apt-get update -qq
        apt_updated=1
    fi
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}
