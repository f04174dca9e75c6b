/* The files named in images.inc, as read-only data. PTX is text and gets its final zero. */
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define ENTRY(symbol, file) .globl symbol; .hidden symbol; .balign 64; symbol: .incbin file; .byte 0;
#define IMAGE(name, kind, cc) ENTRY(engine_cuda_##name##_##kind##_##cc, TEXT(name##_##cc.kind))
    .section .rodata
#include "images.inc"
    .section .note.GNU-stack,"",%progbits
