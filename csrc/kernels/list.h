// The list of kernels. Each file <family>.def in this folder lists a family: one row for each kernel.
//
//   KERNEL(name, group, (C++ parameters), "signature", "contract")
//   ELEMENTWISE(name, group, (C++ parameters), "signature", "contract")
//
// Both are rows of the same meaning. ELEMENTWISE says more: each element of the one output depends on the elements at
// its place in the inputs, and on the numbers (double). The CUDA launch then follows from the row (cuda/instances.h).
//
// name       the kernel, in Python engine._core.kernels.<name>. csrc/cpu/kernels/<family>.cc and
//            csrc/cuda/kernels/<family>.cc define it, as a template over the element type T.
// group      the element types T: F32, FLOAT, WIDE, REAL, WHOLE, LOGIC, ALL or STORED. Each backend says which types
// these
//            are: csrc/cpu/groups.h, csrc/cuda/device/groups.h. If T is a dtype for which a backend has no kernel, the
//            binding converts: bfloat16 and float16 are computed in float32, int8 and int16 in int32, if the row has
//            that. Arguments of T are converted first, and results at the end: what is written in place is rounded
//            once.
// parameters In, Opt (an In that may be None), InOut (written in place), Out (allocated by the binding), InList and
//            InOutList (sequences of arrays), double, int64_t, bool. Out parameters come last: Python passes all the
//            others by position and gets the Outs back.
// signature  one word for each parameter, inputs -> outputs. From it the binding checks dtypes, shapes and layout,
//            allocates the outputs and words its errors:
//              x[n,d]        of dtype T and contiguous (a strided argument is copied). A size has one name in the row.
//              x[*,d]        * stands for any number of leading dimensions, the same ones wherever * appears
//              x[...]        broadcast with every other [...] of the row; the kernel gets strides, 0 where an element
//                            is repeated
//              ids:int64[n]  a fixed dtype
//              x:any[n]      any dtype
//              s:acc[n]      the dtype in which T is added up: float32 for the 16-bit formats, T for the others
//              cu[b+1]       a size that is one more than b
//              w[3]          a size that is written out
//              y[*-dims]     like *, without the dimensions whose bits the scalar `dims` sets (if the scalar `keepdim`
//                            is true they stay, with size 1)
//              @table[n]     stays on the CPU, whichever device the other arguments are on
//              ~q[t,h,d]     any strides: nothing is copied, the kernel reads the strides
//              params{}      a sequence of contiguous arrays of dtype T, each of its own shape; as{} bs{} have equal
//                            lengths; as{n} gives the length a name
//              eps           a scalar; an int64_t scalar may serve as a size: y[n] after a scalar n
//              ^a[...]       of any dtype, or a Python number: T is the dtype to which all such arguments promote, by
//                            PyTorch's rules. After an argument that has decided T, it is converted to T.
//                            An integer that T cannot hold wraps around.
//              ^!a[...]      like ^, and an integer that T cannot hold is refused (of uint8 the negative of one that it
//                            can hold is not: it wraps around)
//              %a[...]       like ^, and integers and bool become the default dtype (float32)
//              #a[...]       like ^, and integers and bool become int64
//            All arrays of a call are on one device, but a 0-dim array on the CPU may stand where [...] broadcasts.
//            T is the dtype of the first argument that has no dtype of its own and no mark. If there is none, T is
//            the scalar `dtype`, or float32.
// contract   what the kernel computes, in one line
//
// An includer defines KERNEL, and ELEMENTWISE if that is to differ. It gets the rows of FAMILY if that is defined, and
// those of all families if not. A file of one family so depends on the rows of that family alone. CMake writes
// families.inc: it includes each .def file.
#ifndef ELEMENTWISE
#define ELEMENTWISE KERNEL
#endif

#ifdef FAMILY
#define ENGINE_QUOTE_(x) #x
#define ENGINE_QUOTE(x) ENGINE_QUOTE_(x)
// clang-format off
#include ENGINE_QUOTE(kernels/FAMILY.def)
// clang-format on
#else
#include "families.inc"
#endif

#undef KERNEL
#undef ELEMENTWISE
