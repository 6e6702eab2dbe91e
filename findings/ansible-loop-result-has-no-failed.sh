#!/bin/sh
# The registered result of a loop has no member `failed` where no element failed, while that of a task without a loop has
# it always. So `when: not result.failed` works until somebody adds a loop to the task: then every good run of it ends
# with "object of type 'dict' has no attribute 'failed'", and only bad ones pass. `result is not failed` works for both.
# Seen: `ansible-core 2.19.14: failed in the result of one task: True, of a loop: False`.
# Needs python3 with venv, and PyPI. Exits 0 while it is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install ansible-core==2.19.14
cat > play.yml <<'END'
- hosts: localhost
  gather_facts: false
  tasks:
    - debug: { msg: x }
      register: one
    - debug: { msg: x }
      loop: [1, 2]
      register: many
    - debug: { msg: "SEEN of one task: {{ 'failed' in one }}, of a loop: {{ 'failed' in many }}" }
END
printf '[defaults]\n' > ansible.cfg
ANSIBLE_CONFIG=ansible.cfg ANSIBLE_HOME="$work" venv/bin/ansible-playbook -i localhost, -c local play.yml > log 2>&1 || { cat log >&2; exit 2; }
seen=$(sed -n 's/.*SEEN \(.*\)".*/\1/p' log)
echo "ansible-core $(venv/bin/python -c 'import ansible.release; print(ansible.release.__version__)'): failed in the result $seen"
[ "$seen" = 'of one task: True, of a loop: False' ]
