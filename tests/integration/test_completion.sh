#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the completions of bash and zsh offer is what `vivctl --help` and `vivctl VERB --help` list, no more and no less. The
# functions that the shells bring for completions are replaced by ones that print what they are given.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
vivctl=$build/vivctl scripts=$(realpath "$here/../../dbus/client/completion")

# ---- what --help says ----
"$vivctl" --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p' | sort >verbs
options_of() { # VERB
        "$vivctl" "$1" --help | sed -n 's/^  \(-.\|  \) \(--[a-z-]*\).*/\1 \2/p' | tr -s ' ' '\n' | grep . | sort
}
check "--help lists verbs" test "$(wc -l <verbs)" -ge 20

# ---- bash ----
cat >in_bash <<'END'
_init_completion() {
        words=("${line[@]}") cword=$((${#line[@]} - 1)) cur=${line[-1]} prev=${line[-2]}
}
_filedir() { COMPREPLY=(a-file); }
_known_hosts_real() { COMPREPLY=(a-host); }
vivctl() { printf 'web 2048 running ready kvm root\nold 2049 dead ready kvm root\n'; }
source "$1/vivctl"
shift
line=("$@")
COMPREPLY=()
_vivctl
[[ ${#COMPREPLY[@]} -eq 0 ]] || printf '%s\n' "${COMPREPLY[@]}"
END
in_bash() { bash in_bash "$scripts" vivctl "$@" | sort; }

in_bash '' >bash_verbs
check "bash offers all verbs" cmp verbs bash_verbs
check "bash offers verbs behind an option with a value" test "$(in_bash --host far lis)" = list
check "bash offers VMs of the right state" test "$(in_bash console '')" = web
check "bash offers VMs behind an option of the verb" test "$(in_bash stop --timeout 5 '')" = web
check "bash offers what can be done with disks" test "$(in_bash disk '' | tr '\n' ' ')" = "add list remove resize "
check "bash offers the VMs behind it" test "$(in_bash disk add '')" = web
check "bash offers files" test "$(in_bash run --kernel '')" = a-file
check "bash offers hosts" test "$(in_bash -H '')" = a-host
check "bash offers the values of an option" test "$(in_bash top --order '' | tr '\n' ' ')" = "cpu memory name "
while read -r verb; do
        options_of "$verb" >expected
        in_bash "$verb" - >offered
        cmp -s expected offered || { echo "$verb: $(diff expected offered | grep '[<>]' | tr '\n' ' ')"; }
done <verbs >differences
check "bash offers each verb's options and no other" test ! -s differences
cat differences

# ---- zsh ----
if ! command -v zsh >zsh_path; then
        echo "SKIP no zsh: make deps"
        echo "[  SKIPPED ] the completion of zsh: no zsh"
        exit "$failed"
fi
cat >in_zsh <<'END'
_describe() { print -rl -- "${(@)${(P)2}%%:*}"; }
# A specification of an option is "*--all=[text]…", with its alternatives as words of their own.
_arguments() {
        local spec
        for spec in "$@"; do
                [[ ${spec#\*} == -* ]] && print -r -- "${${${spec%%\[*}#\*}%=}"
        done
        state=$wanted
}
wanted=$2
words=($3)
source "$1/_vivctl"
END
zsh -f in_zsh "$scripts" verb vivctl | sort | grep -v '^-' >zsh_verbs
check "zsh offers all verbs" cmp verbs zsh_verbs
while read -r verb; do
        options_of "$verb" >expected
        zsh -f in_zsh "$scripts" argument "$verb" | grep '^-' | grep -vx -e -C | sort -u >offered
        cmp -s expected offered || { echo "$verb: $(diff expected offered | grep '[<>]' | tr '\n' ' ')"; }
done <verbs >differences
check "zsh offers each verb's options and no other" test ! -s differences
cat differences
exit "$failed"
