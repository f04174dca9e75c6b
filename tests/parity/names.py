"""The names of PyTorch that engine is meant to have, by family, and what is left out with the reason."""

from __future__ import annotations

import re


def words(text: str) -> list[str]:
    return text.split()


CONSTANTS = words("""
float half double bfloat16 long int short bool uint8 int8 int16 int32 int64 float16 float32 float64 inf nan pi e finfo iinfo
Size Generator is_tensor is_floating_point get_default_dtype set_default_dtype result_type promote_types can_cast Tensor
FloatTensor LongTensor BoolTensor save load
""")

OPS = words("""
addcdiv addcmul addmm addbmm baddbmm allclose aminmax argsort argwhere asin acos atan atan2 atleast_1d atleast_2d bincount
bitwise_and bitwise_not bitwise_or bitwise_xor bucketize broadcast_tensors cdist clamp_max clamp_min column_stack concatenate
count_nonzero cummax cummin cumprod diag diag_embed diagonal diff dot dstack einsum equal erfc erfinv exp2 expm1 fill flip
flatten fmax fmin fmod frac hstack histc hypot index_add index_copy index_fill index_put inner isclose isfinite isin isinf
kron kthvalue lerp linalg.norm linalg.vector_norm linspace log10 log2 logaddexp logcumsumexp logit logspace masked_scatter
masked_select median meshgrid mode moveaxis movedim multinomial mv nan_to_num nanmean nansum narrow nonzero ones_like outer
permute pow quantile rad2deg randperm ravel repeat repeat_interleave roll rot90 scatter scatter_add scatter_reduce
searchsorted sinc sinh cosh sort swapaxes take take_along_dim tan tensor_split tensordot tile topk trace trapezoid tril
tril_indices triu triu_indices trunc unbind unflatten unfold unique unique_consecutive vander vdot vstack where xlogy
greater greater_equal less less_equal not_equal multiply subtract divide true_divide negative absolute clip concat square
arccos arcsin arctan arctan2 acosh asinh atanh arccosh arcsinh arctanh fix swapdims row_stack trapz bitwise_left_shift bitwise_right_shift
""")

# What PYTORCH.md takes for granted: their method and in-place forms are wanted as well.
BASICS = words("""
abs add all amax amin any arange argmax argmin as_tensor baddbmm bernoulli bmm broadcast_to cat ceil chunk clamp clone cos
cumsum div empty empty_like eq erf exp eye floor floor_divide full full_like gather ge gt index_select is_grad_enabled
isnan le log log1p log_softmax logical_and logical_not logical_or logical_xor logsumexp lt manual_seed masked_fill matmul max
maximum mean min minimum mm mul ne neg norm normal ones prod rand rand_like randint randint_like randn randn_like reciprocal
relu remainder reshape round rsqrt rsub select sigmoid sign sin softmax split sqrt squeeze stack std std_mean sub sum t tanh
tensor transpose unsqueeze var var_mean zeros zeros_like dropout
""")

METHODS = words("""
T mT backward bool byte char contiguous copy_ cpu cuda data data_ptr detach detach_ device dim double dtype element_size
expand expand_as exponential_ fill_ float grad grad_fn half bfloat16 int is_contiguous is_floating_point is_leaf item itemsize
long masked_fill_ nbytes ndim ndimension nelement new new_empty new_full new_ones new_tensor new_zeros normal_ numel numpy
random_ register_hook register_post_accumulate_grad_hook requires_grad requires_grad_ reshape_as resize_ retain_grad shape
share_memory_ short size split_with_sizes storage_offset stride sum_to_size to tolist type type_as unfold uniform_
untyped_storage view view_as zero_
""")

FUNCTIONAL = words("""
pad normalize cosine_similarity pairwise_distance one_hot glu elu selu celu softplus softsign softmin logsigmoid hardswish
hardsigmoid hardtanh relu6 mish prelu rrelu threshold tanhshrink hardshrink softshrink binary_cross_entropy kl_div
smooth_l1_loss huber_loss poisson_nll_loss gaussian_nll_loss margin_ranking_loss cosine_embedding_loss triplet_margin_loss
hinge_embedding_loss multi_margin_loss soft_margin_loss multilabel_soft_margin_loss ctc_loss embedding_bag
multi_head_attention_forward binary_cross_entropy_with_logits cross_entropy nll_loss mse_loss l1_loss dropout embedding gelu
layer_norm leaky_relu linear log_softmax relu rms_norm scaled_dot_product_attention sigmoid silu softmax tanh
""")

MODULES = words("""
Flatten Unflatten Identity ModuleDict ParameterList ParameterDict Bilinear CosineSimilarity PairwiseDistance EmbeddingBag
Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder TransformerEncoderLayer GLU ELU SELU CELU Softplus
Softsign Softmin LogSigmoid Hardswish Hardsigmoid Hardtanh ReLU6 Mish PReLU RReLU Threshold Tanhshrink Hardshrink Softshrink
BCELoss BCEWithLogitsLoss KLDivLoss SmoothL1Loss HuberLoss PoissonNLLLoss GaussianNLLLoss MarginRankingLoss
CosineEmbeddingLoss TripletMarginLoss HingeEmbeddingLoss MultiMarginLoss SoftMarginLoss MultiLabelSoftMarginLoss CTCLoss
CrossEntropyLoss NLLLoss MSELoss L1Loss Linear Embedding LayerNorm RMSNorm Dropout GELU ReLU LeakyReLU SiLU Sigmoid Tanh
Softmax LogSoftmax MultiheadAttention Sequential ModuleList Parameter
""")

OPTIMIZERS = words("Adadelta Adafactor Adagrad Adam AdamW Adamax ASGD LBFGS Muon NAdam RAdam RMSprop Rprop SGD")

SCHEDULERS = words("""
LambdaLR MultiplicativeLR StepLR MultiStepLR ConstantLR LinearLR ExponentialLR SequentialLR CosineAnnealingLR
ChainedScheduler ReduceLROnPlateau CyclicLR CosineAnnealingWarmRestarts OneCycleLR PolynomialLR LRScheduler
""")

DATA = words("""
DataLoader Dataset IterableDataset TensorDataset ConcatDataset Subset random_split default_collate Sampler SequentialSampler
RandomSampler SubsetRandomSampler WeightedRandomSampler BatchSampler
""")

# Names of op_db that are not judged, by a pattern of the whole name, and why. A name that is not listed above and that
# engine has all the same is judged like the others, unless it stands here.
LEFT_OUT = {
    r"fft\..*|stft|istft": "fft may wait for speech",
    r"special\..*|i0|igammac?|mvlgamma|polygamma|digamma|lgamma": "special functions",
    r"masked\..*": "masked",
    r"sparse\..*|to_sparse": "sparse",
    r"signal\..*": "signal windows",
    r"linalg\.(?!norm$|vector_norm$).*|cholesky.*|geqrf|lu.*|ormqr|qr|svd.*|pca_lowrank|triangular_solve|pinverse|logdet"
    r"|matrix_exp": "linear algebra beyond what is listed",
    r".*3d|grid_sampler_.*": "3-D layers, and PyTorch's internal names of grid_sample",
    r"c(double|float|half)|chalf|complex|polar|real|imag|angle|view_as_(real|complex)|conj.*|resolve_.*|sgn|isreal":
        "complex numbers",
    r"jiterator_.*|torch\..*|_.*_forward|_segment_reduce|_unsafe_.*|_chunk_cat|_.*batch_norm.*|_softmax.*|_upsample.*"
    r"|native_.*|.*_backward|constant_pad_nd|hash_tensor|unsafe_.*|.*_copy(?<!index_copy)|sum_to_size|nonzero_static"
    r"|empty_permuted|slice": "internal to PyTorch",
    r"nn\.functional\.linear_cross_entropy": "new in 2.13, an experiment of PyTorch's",
}  # fmt: skip

# Samples that hold these dtypes are left out.
LEFT_OUT_DTYPES = {
    "complex64": "complex numbers", "complex128": "complex numbers", "complex32": "complex numbers",
    "uint16": "a dtype that is not listed", "uint32": "a dtype that is not listed", "uint64": "a dtype that is not listed",
    "float8_e4m3fn": "a dtype that is not listed", "float8_e5m2": "a dtype that is not listed",
}  # fmt: skip

# The seventh issue: judged once they exist, and not missed before.
LATER = (
    r"nn\.functional\.(conv.*|fold|unfold|max_(un)?pool.*|avg_pool.*|adaptive_.*|lp_pool.*|fractional_.*|batch_norm|group_norm"
    r"|instance_norm|local_response_norm|dropout[12]d|alpha_dropout|feature_alpha_dropout|interpolate|upsample.*|pixel_.*"
    r"|channel_shuffle|grid_sample|pdist|bilinear)"
)

# Their results are drawn: only shape and dtype can be compared.
RANDOM_OPS = re.compile(
    r"bernoulli|cauchy|exponential|geometric|log_normal|normal|uniform|multinomial|rand.*|empty.*|new_empty.*|resize_.*"
    r"|nn\.functional\.(.*dropout.*|rrelu|fractional.*)"
)


def left_out(name: str) -> str | None:
    """Why the op of this name is not judged; None if it is."""
    return next((why for pattern, why in LEFT_OUT.items() if re.fullmatch(pattern, name)), None)


def listed(name: str) -> bool:
    """Whether the op is one of those wanted now."""
    place, _, last = name.rpartition(".")
    return last in FUNCTIONAL if place == "nn.functional" else name in OPS or name in BASICS


def is_random(name: str) -> bool:
    return bool(RANDOM_OPS.fullmatch(name))
