"""Mixed precision: computed in bfloat16, with weights and losses in float32."""

from kgen.testing.check import check
from kgen.testing.comparing import finite


@check
def trains_in_mixed_bfloat16(case):
    assert finite(case.mixed.history)
    assert {variable.dtype for variable in case.mixed.model.trainable_variables} == {"float32"}


@check
def samples_in_mixed_bfloat16(case):
    assert case.made_by(case.mixed.model).dtype == case.items.dtype


@check
def losses_are_float32_in_mixed_bfloat16(case):
    assert case.mixed.loss_dtypes == {"float32"}
