"""Every registered model against every check of `contract.py` that its capabilities ask for."""

import inspect

import pytest
from contract import CHECKS, case_of, cases

PAIRS = [
    pytest.param(name, check, id=f"{name}-{check.name}", marks=check.marks)
    for name in cases()
    for check in CHECKS
    if check.applies_to(name)
]


@pytest.mark.parametrize(("name", "check"), PAIRS)
def test_contract(name, check, request):
    fixtures = list(inspect.signature(check.function).parameters)[1:]
    check.function(case_of(name), *map(request.getfixturevalue, fixtures))
