# What the scripts of the action share. Sourced, never run.
# shellcheck shell=bash

# Text that comes from a user, as one word of a shell on one line.
quoted() {
    printf '%q' "${1:0:200}"
}

# The runner takes a line that starts with '::' for a command. This one's text stays on its line, so
# that no part of it can start another; '%' starts an escape in it.
error() {
    local text=${1//'%'/%25}
    text=${text//$'\r'/%0D}
    printf '::error title=pytest-kito::%s\n' "${text//$'\n'/%0A}"
}

fail() {
    error "$1"
    exit 1
}

# wrong INPUT VALUE WHAT-IS-ALLOWED
wrong() {
    fail "input '$1': $(quoted "$2") is not allowed; allowed: $3"
}

# output NAME VALUE; the delimiter cannot be known by who wrote the value.
output() {
    local mark
    mark=kito_$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s<<%s\n%s\n%s\n' "$1" "$mark" "$2" "$mark" >>"$GITHUB_OUTPUT"
}

# Only names of this form reach a command line or a path: kito.yaml takes no others.
is_model_name() {
    [[ $1 =~ ^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$ ]]
}
