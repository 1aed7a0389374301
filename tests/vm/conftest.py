# SPDX-License-Identifier: GPL-2.0-only
"""One prepared plan for all tests: kernel and image are made, the accelerator is proved, once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.plan.session import SessionPlan
from lab.provision.private import private_folder
from lab.session.prepare import prepare
from lab.spec.request import SessionRequest
from tests.vm.sessions import derived, qemus

MakePlan = Callable[..., SessionPlan]


@pytest.fixture(scope="session")
def base_plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionPlan]:
    """Newest 6.12 kernel and the guest image of this checkout."""
    with contextlib.ExitStack() as stack:
        sockets = private_folder(stack.callback)
        request = SessionRequest(names=("hold",), kernels=("6.12",), nics=("loopback",), command="tests/vm")
        yield prepare(request, tmp_path_factory.mktemp("base"), sockets, print)


@pytest.fixture(scope="module")
def make_plan(base_plan: SessionPlan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakePlan]:
    """Makes plans of (case, nic) cells; at the end, no guest of any of them may be left.

    Each has a guardian, as a user's session has: however these tests end, their guests end with them.
    """
    made: list[SessionPlan] = []
    with contextlib.ExitStack() as stack:

        def make(cells: Sequence[tuple[str, str]], **changes: Any) -> SessionPlan:  # noqa: ANN401
            folder: Path = changes.pop("folder", None) or tmp_path_factory.mktemp("results")
            made.append(derived(base_plan, cells, folder, private_folder(stack.callback), **changes))
            return made[-1]

        yield make
        left = {plan.name: qemus(plan) for plan in made}
    assert not any(left.values()), left
