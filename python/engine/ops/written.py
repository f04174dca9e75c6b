"""In-place ops as functions: `engine.exp_(x)` is `x.exp_()`. Their names are PyTorch's."""

from engine.tensor import Tensor

__all__ = """
abs_ acos_ acosh_ addmv_ arccos_ arccosh_ arcsin_ arcsinh_ arctan_ arctanh_ asin_ asinh_ atan_ atanh_ ceil_ clamp_ clamp_max_
clamp_min_ clip_ cos_ cosh_ deg2rad_ detach_ erf_ erfc_ exp2_ exp_ expm1_ fill_ fix_ floor_ frac_ index_put_ log10_ log1p_ log2_
log_ logit_ nan_to_num_ neg_ negative_ rad2deg_ reciprocal_ resize_as_ round_ rsqrt_ sigmoid_ sin_ sinc_ sinh_ sqrt_ square_ tan_
tanh_ trunc_ xlogy_ zero_
""".split()  # noqa: SIM905 - a list of names would take a line each

for _name in __all__:
    globals()[_name] = getattr(Tensor, _name)
