// The bits of integers: the launches follow from the rows.
#define FAMILY bitwise
#include "cuda/instances.h"
