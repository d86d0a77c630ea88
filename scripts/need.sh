# Sourced by the other scripts: makes sure of what they run.

# need COMMAND PACKAGE: installs a package of the system where its command is missing.
need() {
    command -v "$1" >/dev/null || install_packages "$2"
}

# need_venv: Debian and its descendants keep the `venv` module of their Python in a package of its own.
need_venv() {
    need python3 python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
}

# wish COMMAND:PACKAGE…: or the file that it brings; as `need`, for what there should be but can be done without; only root has a use for it.
wish() {
    local pair missing=()
    for pair; do
        command -v "${pair%%:*}" >/dev/null || [ -e "${pair%%:*}" ] || missing+=("${pair#*:}")
    done
    if [ "$(id -u)" = 0 ] && [ ${#missing[@]} != 0 ]; then
        (install_packages "${missing[@]}") || echo "going on without ${missing[*]}" >&2
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
