#!/bin/sh
# ansible-core's filters union, intersect and difference give texts in an order that changes from run to run: they go
# through Python's sets, whose order of texts is drawn anew by every process. Whoever writes a file from them finds it
# changed by each run.
# Seen: `ansible-core 2.19.14: 12 runs of difference, 12 orders` (the second number varies; 1 would be a change).
# Needs python3 with venv, and PyPI. Exits 0 while it is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install ansible-core==2.19.14
cat > order.py <<'END'
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

expression = trust_as_template("{{ ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'] | difference(['a']) | join('') }}")
print(Templar(loader=DataLoader()).template(expression))
END
runs=12
seen=0
while [ "$seen" -lt "$runs" ]; do
    PYTHONHASHSEED=random ANSIBLE_HOME="$work" venv/bin/python order.py >> orders
    seen=$((seen + 1))
done
orders=$(sort -u orders | wc -l | tr -d ' ')
echo "ansible-core $(venv/bin/python -c 'import ansible.release; print(ansible.release.__version__)'): $runs runs of difference, $orders orders"
[ "$orders" -gt 1 ]
