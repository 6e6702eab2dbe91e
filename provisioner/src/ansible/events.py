# Tells the farm what became of each task: one line of JSON for its beginning and one for its end. Ansible loads this as its
# callback for standard output. It runs on the farm's side and prints nothing else.
import json
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: verdigris
type: stdout
short_description: one line of JSON for each task
description: one line of JSON for each task
"""

# The most characters of one text that are told.
MOST = 20000


def part(result, name):
    """A part of a result, under the name that this version of Ansible has for it."""
    return getattr(result, name) if hasattr(result, name) else getattr(result, "_" + name)


def short(text):
    return text if len(text) <= MOST else text[:MOST] + "\n(cut)"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "verdigris"

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.play = ""
        self.begun = time.monotonic()

    def tell(self, event):
        print(json.dumps(event, default=str), flush=True)

    def v2_playbook_on_play_start(self, play):
        self.play = play.get_name().strip()

    def v2_playbook_on_no_hosts_matched(self):
        self.tell({"event": "nobody", "play": self.play, "task": "", "path": "", "module": ""})

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.begun = time.monotonic()
        self.tell({"event": "begin", **self.of(task)})

    def v2_playbook_on_handler_task_start(self, task):
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_ok(self, result):
        self.end(result, "changed" if part(result, "result").get("changed") else "ok")

    def v2_runner_on_skipped(self, result):
        self.end(result, "skipped")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.end(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result):
        self.end(result, "unreachable")

    def of(self, task):
        return {
            "play": self.play,
            "task": task.get_name().strip(),
            "path": task.get_path() or "",
            "module": task.action or "",
        }

    def end(self, result, outcome):
        values = part(result, "result")
        items = [item for item in values.get("results") or [] if isinstance(item, dict)]
        # Of a loop, those elements that failed say why; of a task without one, its result need not say that it failed.
        has_failed = outcome in ("failed", "ignored", "unreachable")
        said = [self.message(item, has_failed and bool(item.get("failed"))) for item in items]
        said = said or [self.message(values, has_failed)]
        diffs = [diff for item in items or [values] for diff in self.diffs(item)]
        failed = next((item for item in items if item.get("failed")), values)
        self.tell(
            {
                "event": "end",
                **self.of(part(result, "task")),
                "outcome": outcome,
                "message": short("\n".join(text for text in said if text)),
                "status": failed.get("rc"),
                "stderr": str(failed.get("stderr") or failed.get("module_stderr") or "")[-2000:],
                "diff": short("".join(diffs)),
                "seconds": time.monotonic() - self.begun,
            }
        )

    def message(self, values, has_failed):
        """What it says for people: that of modules that only talk, and why something failed."""
        is_told = has_failed or values.get("_ansible_verbose_always")
        return str(values.get("msg") or "") if is_told else ""

    def diffs(self, values):
        diff = values.get("diff")
        if not diff:
            return []
        return [self._get_diff(one) for one in (diff if isinstance(diff, list) else [diff]) if one]
