#include "../isa_scalar.h"

#include "../kernels.inc"
