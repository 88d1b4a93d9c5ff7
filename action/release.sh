#!/usr/bin/env bash
# Put the artifacts on the release of a tag: exactly the files of the manifest, verified first, and
# proved at the commit of the tag.
#
# A release that does not exist yet, or is a draft, is filled, read back, and published last. On a
# release that is published already, what is missing is added, SHA256SUMS last; nothing there is ever
# replaced or deleted, and a file of other bytes is an error before anything is uploaded.
#
# Reads KITO_PASSED, KITO_ARTIFACTS_DIR, KITO_REPORT, KITO_SUMMARY, INPUT_RELEASE_TAG, INPUT_ATTEST,
# GH_TOKEN and GITHUB_*; KITO_RETRY_SECONDS is the pause after the first failed try.
set -euo pipefail
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
# shellcheck source=action/lib.sh
source "$here/lib.sh"

MANIFEST=kito-manifest.json SUMS=SHA256SUMS
# What GitHub allows; with more, its answer is HTTP 422, 'file_count limited to 1000 assets'.
MOST_FILES=1000
folder=$KITO_ARTIFACTS_DIR
tag=${INPUT_RELEASE_TAG:-$GITHUB_REF_NAME}
scratch=$(mktemp -d --tmpdir="${RUNNER_TEMP:-/tmp}")
trap 'rm -rf "$scratch"' EXIT

refuse() {
    fail "nothing is published: $1"
}

warn() {
    error "$1" | sed 's/^::error /::warning /'
}

# The API fails at times: try a command five times, and double the pause after each failure.
retry() {
    local pause=${KITO_RETRY_SECONDS:-2} try
    for try in 1 2 3 4 5; do
        "$@" && return
        [[ $try != 5 ]] || return 1
        printf 'kito: try %s of 5 failed, the next is in %s s\n' "$try" "$pause"
        sleep "$pause"
        pause=$((pause * 2))
    done
}

release() {
    local verb=$1
    shift
    gh release "$verb" "$tag" --repo "$GITHUB_REPOSITORY" "$@"
}

release_state() {
    python -I "$here/release_state.py" "$@"
}

# ---- the tag ----------------------------------------------------------------------------------

# read_api FILE PATH: write the answer of the REST API; no file and status 0 if there is none.
read_api() {
    rm -f "$1"
    gh api "repos/$GITHUB_REPOSITORY/$2" >"$1" 2>"$1.err" && return
    rm -f "$1"
    ! grep -q 'HTTP 404' "$1.err" || return 0
    sed 's/^/gh: /' "$1.err"
    return 1
}

# Write the commit of the tag to the file 'commit', empty if there is none. An annotated tag points
# to an object, which may be a tag, too.
read_tag() {
    local path type sha
    path=git/ref/tags/$(python -I -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.argv[1]))' "$tag")
    : >"$scratch/commit"
    for _ in {1..10}; do
        read_api "$scratch/object.json" "$path" || return 1
        [[ -f $scratch/object.json ]] || return 0
        read -r type sha < <(release_state target "$scratch/object.json") || return 1
        case $type in
            commit) printf '%s' "$sha" >"$scratch/commit" && return ;;
            tag) path=git/tags/$sha ;;
            *) return 0 ;;
        esac
    done
}

# Print what is wrong if the files were not proved at the commit of the tag.
check_tag() {
    retry read_tag >&2 || {
        printf "gh cannot read the tag '%s'; does the job have the permission 'contents: write'?" "$tag"
        return 1
    }
    [[ -s $scratch/commit ]] || {
        printf "there is no tag '%s' of a commit in %s; push the tag first" "$tag" "$GITHUB_REPOSITORY"
        return 1
    }
    release_state origin "$folder" "$GITHUB_REPOSITORY" "$tag" "$(<"$scratch/commit")" 2>&1
}

# ---- the release on GitHub --------------------------------------------------------------------

# Write the release to release.json; no file and status 0 if there is no such release.
read_release() {
    rm -f "$scratch/release.json"
    release view --json isDraft,body,assets,apiUrl >"$scratch/view" 2>"$scratch/view.err" || {
        grep -qi 'release not found' "$scratch/view.err" && return
        sed 's/^/gh: /' "$scratch/view.err"
        return 1
    }
    release_state release "$scratch/view" "$scratch" || return 1
    mv "$scratch/view" "$scratch/release.json"
}

# Create the draft. An earlier try may have created it even though gh reported a failure.
create_draft() {
    read_release || return 1
    [[ ! -f $scratch/release.json ]] || return 0
    release create --draft --verify-tag --title "$tag" --notes-file "$scratch/notes" || return 1
    read_release && [[ -f $scratch/release.json ]]
}

# Download all files of this run's names that are on the release.
download_files() {
    local name patterns=()
    rm -rf "$scratch/online"
    mkdir "$scratch/online"
    while IFS= read -r name; do
        patterns+=(--pattern "$name")
    done < <(grep -xFf "$scratch/files" "$scratch/assets" | grep -vxFf "$scratch/broken")
    [[ ${#patterns[@]} == 0 ]] || release download --dir "$scratch/online" --clobber "${patterns[@]}"
}

matches_local() {
    [[ -f $scratch/online/$1 ]] && cmp -s -- "$folder/$1" "$scratch/online/$1"
}

# write_notes MANIFEST: write the notes to the file 'notes', or warn that they have no room.
write_notes() {
    local run=$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID status=0
    python -I "$here/release_notes.py" "$scratch/release.json" "$KITO_SUMMARY" "$1" \
        "$GITHUB_REPOSITORY" "$run" "${INPUT_ATTEST:-false}" >"$scratch/notes" || status=$?
    [[ $status == 0 ]] || rm "$scratch/notes"
    [[ $status != 3 ]] || {
        warn "the notes of the release of '$tag' have no room for the table and the digest of the manifest; they stay as they are: GitHub allows 125,000 characters"
        return 0
    }
    return "$status"
}

# ---- a draft ----------------------------------------------------------------------------------

fill_draft() {
    local extra file problem notes=()
    extra=$(grep -vxFf "$scratch/files" "$scratch/assets" || true)
    [[ -z $extra ]] || refuse "the draft of '$tag' has files that are not in the manifest: $(quoted "$extra"); delete them, or use another tag"
    retry download_files || refuse "gh cannot download the files of the release of '$tag'"
    for file in "${files[@]}"; do
        matches_local "$file" || retry release upload "$folder/$file" --clobber ||
            refuse "'$file' could not be uploaded; the draft of '$tag' stays, and the next run completes it"
    done

    retry read_release && [[ -f $scratch/release.json ]] || refuse "the draft of '$tag' is gone"
    diff <(sort "$scratch/assets") <(sort "$scratch/files") >/dev/null || refuse "the draft of '$tag' does not hold exactly the files of the manifest"
    retry download_files || refuse "gh cannot download what was uploaded"
    for file in "${files[@]}"; do
        matches_local "$file" || refuse "'$file' as downloaded from the draft of '$tag' is not what was uploaded"
    done

    write_notes "$folder/$MANIFEST"
    [[ ! -f $scratch/notes ]] || notes=(--notes-file "$scratch/notes")
    # The tag may have been moved in the meantime.
    problem=$(check_tag) || refuse "$problem"
    retry release edit --draft=false ${notes[@]+"${notes[@]}"} || fail "the draft of '$tag' is complete, but gh could not publish it; run again"
    printf "kito: published %s files on the release of '%s'\n" "${#files[@]}" "$tag"
}

# ---- a published release ----------------------------------------------------------------------

# Read the release, and compare its files with those of this run. Sets state, and missing.
compare_published() {
    local whole=false
    retry read_release && [[ -f $scratch/release.json ]] || fail "gh cannot read the release of '$tag'; $1"
    problem=$(grep -xFf "$scratch/files" "$scratch/broken" || true)
    [[ -z $problem ]] || fail "the upload of $(quoted "$problem") to the release of '$tag' has not ended; if no other run is busy with it, delete the file there, and run again"
    retry download_files || fail "gh cannot download the files of the release of '$tag'; $1"
    # Without sums, it is not complete.
    [[ ! -f $scratch/online/$SUMS ]] || ! kito verify "$scratch/online" >"$scratch/verified" 2>&1 || whole=true
    problem=$(release_state published "$folder" "$scratch/online" "$whole" 2>&1 >"$scratch/missing") ||
        fail "the release of '$tag' is published already, and nothing on it is replaced: $problem"
    mapfile -t missing <"$scratch/missing"
    state=${missing[0]}
    missing=("${missing[@]:1}")
}

# Another run, or an earlier try that failed late, may have added the file: it is read back, anyway.
add_file() {
    release upload "$folder/$1" >"$scratch/upload" 2>&1 && return
    cat "$scratch/upload"
    grep -qi 'already exists' "$scratch/upload"
}

add_notes() {
    write_notes "$scratch/online/$MANIFEST"
    [[ -f $scratch/notes ]] || return 0
    retry release edit --notes-file "$scratch/notes" ||
        warn "the release of '$tag' has all files, but gh could not add the table to its notes; run again"
}

fill_published() {
    local file problem state missing=() again="run again"
    compare_published "nothing is added"
    if [[ $state == upload ]]; then
        retry read_api "$scratch/rest.json" "releases/$(<"$scratch/number")" && [[ -f $scratch/rest.json ]] ||
            fail "gh cannot read the release of '$tag'; nothing is added"
        [[ $(release_state immutable "$scratch/rest.json") == false ]] ||
            fail "the release of '$tag' is immutable, so no file can be added: delete it, and let this action make the release, from a pushed tag or from a draft (action/README.md, 'Publish on a tag')"

        for file in "${missing[@]}"; do
            [[ $file == "$SUMS" ]] || retry add_file "$file" ||
                fail "'$file' could not be added to the release of '$tag', which is not complete; $again"
        done
        compare_published "$again"
        if [[ $state == upload ]]; then
            [[ ${missing[*]} == "$SUMS" ]] || fail "the release of '$tag' lacks $(quoted "${missing[*]}") after the upload; $again"
            problem=$(check_tag) || fail "the release of '$tag' stays without $SUMS: $problem"
            retry add_file "$SUMS" || fail "'$SUMS' could not be added to the release of '$tag', which is not complete; $again"
            compare_published "$again"
        fi
        [[ $state == complete ]] || fail "the release of '$tag' is not complete after the upload; $again"
        add_notes
        printf "kito: the release of '%s' has all %s files\n" "$tag" "${#files[@]}"
    elif [[ $state == same-commit ]]; then
        printf "kito: the release of '%s' is complete, with proved files of the same commit; those of this run differ where the bytes of a format differ from run to run, and are not added\n" "$tag"
    else
        printf "kito: the release of '%s' is complete, with these very files\n" "$tag"
        # A run that broke off at the very end left the notes as they were.
        grep -qF 'kito: begin' "$scratch/release.json" || add_notes
    fi
}

# ---- main -------------------------------------------------------------------------------------

bash "$here/verify.sh" >"$scratch/files" || { cat "$scratch/files"; exit 1; }
mapfile -t files <"$scratch/files"
problem=$(check_tag) || refuse "$problem"
retry read_release || refuse "gh cannot read the release of '$tag'; does the job have the permission 'contents: write'?"
[[ -f $scratch/release.json ]] || : >"$scratch/assets"
total=$(sort -u "$scratch/assets" "$scratch/files" | wc -l)
((total <= MOST_FILES)) || refuse "the release of '$tag' would have $total files, and GitHub allows $MOST_FILES; release fewer models or formats under one tag (input 'models')"
if [[ ! -f $scratch/release.json ]]; then
    write_notes "$folder/$MANIFEST"
    retry create_draft || refuse "gh cannot create a draft release of the tag '$tag'; does the job have the permission 'contents: write'?"
fi
if [[ $(<"$scratch/draft") == true ]]; then
    fill_draft
else
    fill_published
fi
