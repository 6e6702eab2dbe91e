#!/bin/sh
# ansible-core 2.19 refuses a number as a condition, except right behind a condition that equals it: in lists of conditions it
# drops what equals its left neighbour, and to Python 1 equals true and 0 equals false. So `when: [true, 1]` runs and
# `when: [1, true]` is an error, and with a condition between them, as in `when: [true, 'yes' == 'yes', 1]`, it is one again.
# Seen: `ansible-core 2.19.14: [true, 1] runs, [1, true] is refused, [true, other, 1] is refused`.
# Needs python3 with venv, and PyPI. Exits 0 while it is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install ansible-core==2.19.14
try() {
    printf -- '- hosts: localhost\n  gather_facts: false\n  connection: local\n  tasks:\n    - debug: {msg: it runs}\n      when: %s\n' "$1" > play.yml
    if ANSIBLE_HOME="$work" venv/bin/ansible-playbook -i localhost, play.yml > out 2>&1; then
        if grep -q 'it runs' out; then echo runs; else echo 'is skipped'; fi
    elif grep -q 'Conditional' out; then
        echo 'is refused'
    else
        cat out >&2
        echo 'fails otherwise'
    fi
}
seen="[true, 1] $(try '[true, 1]'), [1, true] $(try '[1, true]'), [true, other, 1] $(try "[true, \"'yes' == 'yes'\", 1]")"
echo "ansible-core $(venv/bin/python -c 'import ansible.release; print(ansible.release.__version__)'): $seen"
[ "$seen" = '[true, 1] runs, [1, true] is refused, [true, other, 1] is refused' ]
