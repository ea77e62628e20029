"""Something fails in the midst of patching: everything is patched or nothing is."""

from __future__ import annotations

from typing import Any

import pytest

from support import forked
from support.programs import ON, PRIVATE

# Makes the call number `at` of one operation of patching raise; `reached` says whether it did.
INJECT = """
import builtins, inspect, sys
import kruise_autopatch.patches.engine as patching

class Injection:
    def __init__(self, native, error):
        self.native, self.error, self.at, self.calls = native, error, None, 0
    def __call__(self, *args, **kwargs):
        self.calls += 1
        if self.calls - 1 == self.at:
            raise self.error
        return self.native(*args, **kwargs)
    def arm(self, at):
        self.at, self.calls = at, 0
    @property
    def reached(self):
        return self.at is not None and self.calls > self.at

def inject(operation, error):
    if operation == "setattr":
        patching.setattr = injection = Injection(builtins.setattr, error)
    elif operation == "wrap":
        patching._Wrapped = injection = Injection(patching._Wrapped, error)
    else:
        patching._find = injection = Injection(patching._find, error)
    return injection

def fail_at_each_step(injection, patch, is_changed):
    # How many steps there are, and which of them change something when they fail.
    changed, step = [], 0
    while True:
        injection.arm(step)
        try:
            patch()
        except BaseException as failure:
            # An ordinary error comes as one that names the release and the point.
            assert injection.error in (failure, failure.__cause__), failure
        if not injection.reached:
            return step, changed
        if is_changed():
            changed.append(step)
        step += 1

def classes():
    # Everything of the SDK that has attributes which can be replaced, and those attributes.
    found = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "e2b" and module is not None:
            for attribute, value in list(vars(module).items()):
                if inspect.isclass(value) and value.__module__.partition(".")[0] == "e2b":
                    found[value] = dict(vars(value))
                elif inspect.isroutine(value) or isinstance(value, int):
                    found[name, attribute] = value
    for attributes in found.values():
        if isinstance(attributes, dict):
            attributes.pop("__abstractmethods__", None)
            attributes.pop("_abc_impl", None)
    return found
"""

ERRORS = ["RuntimeError('injected')", "KeyboardInterrupt()"]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("operation", ["resolve", "wrap", "setattr"])
def test_patch_e2b_that_fails_at_any_step_leaves_everything_native(
    operation: str, error: str
) -> None:
    code = f"""{INJECT}
import e2b, kruise_autopatch
injection = inject({operation!r}, {error})
native = classes()
step, changed = fail_at_each_step(
    injection,
    lambda: kruise_autopatch.patch_e2b(https=False),
    lambda: classes() != native or kruise_autopatch.status().enabled,
)
injection.arm(None)
states = {{p.state for p in kruise_autopatch.status().patches}}
result = step, changed, states <= {{"applied", "absent"}}
result += e2b.ConnectionConfig(api_key="k").api_url,
kruise_autopatch.unpatch_e2b()
result += classes() == native,
"""
    steps, changed, complete, url, undone = forked.value(code, {"E2B_DOMAIN": "kruise.test"})
    assert steps > 10
    assert changed == []
    assert (complete, url, undone) == (True, PRIVATE, True)


@pytest.mark.parametrize("operation", ["resolve", "wrap", "setattr"])
def test_a_second_patch_e2b_that_fails_leaves_everything_as_it_was(operation: str) -> None:
    # Somebody has put two native attributes back, so there is something to patch again.
    code = f"""{INJECT}
import e2b, kruise_autopatch
config = e2b.ConnectionConfig
get_host, get_sandbox_url = config.get_host, config.get_sandbox_url
kruise_autopatch.patch_e2b(https=False)
config.get_host, config.get_sandbox_url = get_host, get_sandbox_url
injection = inject({operation!r}, RuntimeError("injected"))
before = classes()
step, changed = fail_at_each_step(
    injection,
    lambda: kruise_autopatch.patch_e2b(https=True),
    lambda: classes() != before or kruise_autopatch.status().settings.https,
)
built = config(api_key="k")
result = step, changed, built.api_url, built.get_host("s1", "kruise.test", 80)
"""
    steps, *found = forked.value(code, {"E2B_DOMAIN": "kruise.test"})
    assert steps > 1
    assert found == [[], PRIVATE.replace("http:", "https:"), "kruise.test/kruise/s1/80"]


@pytest.mark.parametrize("operation", ["resolve", "wrap", "setattr"])
@pytest.mark.parametrize("step", ["0", "count // 2", "count - 1"])
def test_an_import_that_fails_at_a_step_fails_again_until_the_cause_is_gone(
    operation: str, step: str
) -> None:
    code = f"""{INJECT}
injection = inject({operation!r}, RuntimeError("injected"))
import e2b
count = injection.calls
def forget():
    # What older releases bring with them is patched, too.
    packages = "e2b", "e2b_connect"
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]
forget()
failures = []
for _ in range(3):
    injection.arm({step})
    try:
        import e2b
    except ImportError as failure:
        failures.append(str(failure.__cause__))
    assert "e2b" not in sys.modules
injection.arm(None)
import e2b, kruise_autopatch
states = {{p.state for p in kruise_autopatch.status().patches}}
result = failures, e2b.ConnectionConfig(api_key="k").api_url, states <= {{"applied", "absent"}}
"""
    found: Any = forked.value(code, ON)
    assert found == [["injected"] * 3, PRIVATE, True]
