/* The files named in images.inc, as read-only data. Packed by zlib. */
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define ENTRY(symbol, end, file) .globl symbol, end; .hidden symbol, end; .balign 64; symbol: .incbin file; end: .byte 0;
#define IMAGE(name, kind, cc) \
    ENTRY(engine_cuda_##name##_##kind##_##cc, engine_cuda_##name##_##kind##_##cc##_end, TEXT(name##_##cc.kind.z))
    .section .rodata
#include "images.inc"
    .section .note.GNU-stack,"",%progbits
