// Instantiates the kernels of one FAMILY for the dtypes of their rows. Included last by the family's file.
#define ENGINE_JOIN_(a, b) a##b
#define ENGINE_JOIN(a, b) ENGINE_JOIN_(a, b)
// A row is taken when its family is the one of this file: the macro family_is_<FAMILY>_<family> then has a second
// argument.
#define ENGINE_SECOND(first, second, ...) second
#define ENGINE_PICK(...) ENGINE_SECOND(__VA_ARGS__, ENGINE_LEAVE, )
#define ENGINE_LEAVE(group, name, params)
#define ENGINE_TAKE(group, name, params) ENGINE_JOIN(ENGINE_INSTANCES_, group)(name, params)
#define ENGINE_MATCH_copy_copy , ENGINE_TAKE
#define ENGINE_MATCH_norm_norm , ENGINE_TAKE
#define ENGINE_MATCH_gemm_gemm , ENGINE_TAKE
#define ENGINE_MATCH_attention_attention , ENGINE_TAKE
#define ENGINE_MATCH_arithmetic_arithmetic , ENGINE_TAKE
#define ENGINE_MATCH_comparison_comparison , ENGINE_TAKE
#define ENGINE_MATCH_unary_unary , ENGINE_TAKE
#define ENGINE_MATCH_activation_activation , ENGINE_TAKE
#define ENGINE_MATCH_reduction_reduction , ENGINE_TAKE
#define ENGINE_MATCH_softmax_softmax , ENGINE_TAKE
#define ENGINE_MATCH_loss_loss , ENGINE_TAKE
#define ENGINE_MATCH_embedding_embedding , ENGINE_TAKE
#define ENGINE_MATCH_indexing_indexing , ENGINE_TAKE
#define ENGINE_MATCH_dropout_dropout , ENGINE_TAKE
#define ENGINE_MATCH_random_random , ENGINE_TAKE
#define ENGINE_MATCH_optimizer_optimizer , ENGINE_TAKE
#define ENGINE_MATCH_pooling_pooling , ENGINE_TAKE
#define ENGINE_MATCH_limits_limits , ENGINE_TAKE
#define ENGINE_MATCH_factory_factory , ENGINE_TAKE
#define ENGINE_MATCH(mine, family) ENGINE_JOIN(ENGINE_JOIN(ENGINE_MATCH_, mine), ENGINE_JOIN(_, family))

namespace engine::ENGINE_ISA {
#define KERNEL(family, name, group, params, signature, contract) \
  ENGINE_PICK(ENGINE_MATCH(FAMILY, family))(group, name, params)
#include "kernels.def"
#undef KERNEL
} // namespace engine::ENGINE_ISA
