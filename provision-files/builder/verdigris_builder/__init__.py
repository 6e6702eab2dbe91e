"""Runs one build attempt on a builder machine, detached from the worker that asked for it.

Never does: talk to the control plane, hold a secret, sign, publish, or decide about retries. It is called over SSH, answers in JSON,
and leaves flat result files; everything it says is checked again by the worker.

Start reading at `cli` (the commands), then `runner` (supervisor and driver process), `chroot_driver` (what a build is made of) and
`sandbox` (where hostile code runs).
"""

SCHEMA_VERSION = 1
