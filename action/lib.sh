# Functions that the scripts of the action share. Sourced, never run.
# shellcheck shell=bash

# Print a text from a user as one shell word on one line, at most 200 characters of it.
quoted() {
    printf '%q' "${1:0:200}"
}

# Print an error as a workflow command. A line that starts with '::' is a command, so newlines in the
# text are encoded, and '%', which starts an escape.
error() {
    local text=${1//'%'/%25}
    text=${text//$'\r'/%0D}
    printf '::error title=pytest-kito::%s\n' "${text//$'\n'/%0A}"
}

fail() {
    error "$1"
    exit 1
}

# wrong INPUT VALUE ALLOWED: fail because of the value of an input.
wrong() {
    fail "input '$1': $(quoted "$2") is not allowed; allowed: $3"
}

# output NAME VALUE: set an output. The delimiter is random, so that no value can contain it.
output() {
    local mark
    mark=kito_$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s<<%s\n%s\n%s\n' "$1" "$mark" "$2" "$mark" >>"$GITHUB_OUTPUT"
}

# Only names of this form reach a command line or a path. kito.yaml allows no others.
is_model_name() {
    [[ $1 =~ ^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$ ]]
}

# caused_by_writers EVENT: whether only people who may write to the repository, or the clock, can cause
# the event. Strangers can cause all others: with them, a workflow may have checked out any code.
caused_by_writers() {
    case $1 in
        push | create | delete | release | schedule | workflow_dispatch | repository_dispatch) ;;
        merge_group | deployment | deployment_status | page_build | registry_package) ;;
        *) return 1 ;;
    esac
}

# Whether the gate that is installed writes HTML reports: older ones, and ones without the extra, do not.
writes_html() {
    python -P -c 'import importlib.util, sys
sys.exit(not all(map(importlib.util.find_spec, ("jinja2", "fast_sugiyama", "pytest_kito.reports.html"))))' 2>/dev/null
}

# pip, without what lies in the current directory: python -m would run a pip.py there. -P and not -I,
# which would also leave out a pip and packages that belong to the user.
pip() {
    python -P -m pip "$@"
}
