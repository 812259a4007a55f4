# Finds cargo; to be sourced. With another HOME than the one rustup was installed in, rustup's `cargo` can't find its
# toolchain, which then lies beside the folder that `cargo` itself is in.
if ! command -v cargo >/dev/null; then
    echo "cargo is missing: install Rust from https://rustup.rs, or your system's package" >&2
    exit 1
fi
if ! cargo --version >/dev/null 2>&1; then
    rustup_home=$(dirname "$(dirname "$(dirname "$(command -v cargo)")")")/.rustup
    if [ -d "$rustup_home" ]; then
        export RUSTUP_HOME="$rustup_home"
    fi
    unset rustup_home
fi
cargo --version >/dev/null
